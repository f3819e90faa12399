# One static binary in an empty image: no shell, no libraries, no root.
#
#   docker build -t forebay .
#   docker run -p 6379:6379 forebay --maxmemory 1gb
#
# Settings are flags behind the image's name, variables (FOREBAY_MAXMEMORY=1gb), or a file that is mounted and named
# by FOREBAY_CONFIG. The health check sees variables and file only: a port or password given as a flag is unknown to it.

FROM rust:1.95-bookworm AS builder
WORKDIR /build
ARG TARGET=x86_64-unknown-linux-gnu
COPY . .
# These flags are added to those for the processor in .cargo/config.toml; a RUSTFLAGS variable would replace those.
# A static binary can't look whether its C library has getrandom(2), and would open /dev/urandom: it calls the kernel.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin forebay --target $TARGET --config "target.$TARGET.rustflags=[\
    '-C', 'target-feature=+crt-static', '--cfg', 'getrandom_backend=\"linux_getrandom\"']" \
    && install -D target/$TARGET/release/forebay /image/forebay \
    && install -d -o 65532 -g 65532 /image/data

FROM scratch
COPY --from=builder /image/ /
# Who vouches for an upstream with TLS unless FOREBAY_UPSTREAM_TLS_CA_FILE says otherwise.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# As in the image of Redis: only who shares a network with the container reaches it, so protected mode would keep
# everybody out. Whoever publishes the port sets FOREBAY_REQUIREPASS.
ENV FOREBAY_PROTECTED_MODE=no FOREBAY_DIR=/data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 6379 9121
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 CMD ["/forebay", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/forebay"]
