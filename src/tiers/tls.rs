//! TLS to upstream: rustls with the cryptography of ring, versions 1.2 and 1.3.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::config::UpstreamTls as Settings;

/// What all connections with TLS have in common.
pub struct Tls {
    connector: TlsConnector,
    /// The name that upstream has to prove, instead of the host that was connected to.
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files that the settings name; they are not read again.
    ///
    /// # Errors
    /// Names the setting that is unusable, and why.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cryptography of both versions");
        let trusting = versions.with_root_certificates(roots(settings.ca_file.as_deref())?);
        let config = match (&settings.cert_file, &settings.key_file) {
            (Some(cert_file), Some(key_file)) => with_identity(trusting, cert_file, key_file)?,
            _ => trusting.with_no_client_auth(),
        };
        let server_name = settings.server_name.as_deref().map(|name| {
            parsed_name(name).ok_or_else(|| unusable("server-name", "it is no host name and no IP address"))
        });
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server_name: server_name.transpose()?,
        })
    }

    /// Speaks TLS over `stream`, which leads to `host`. Fails unless the other end proves its name.
    pub async fn secure<S>(&self, host: &str, stream: S) -> io::Result<Driven<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let given = self.server_name.clone();
        let name = given.or_else(|| parsed_name(host)).ok_or_else(|| {
            let text = "TLS: the host can't be in a certificate; set upstream-tls-server-name";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let shaken = self.connector.connect(name, stream).await;
        let stream = shaken.map_err(|error| io::Error::new(error.kind(), format!("TLS: {error}")))?;
        Ok(Driven {
            stream,
            is_flushed: true,
        })
    }
}

fn parsed_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// The authorities whose word for upstream's name is good.
fn roots(ca_file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates("ca-file", path)? {
            let added = roots.add(certificate);
            added.map_err(|error| unusable_file("ca-file", path, error))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    // A system has many; one in an odd format is no reason to do without the others.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = format!(
            "it is needed, the system has no certificates: {}",
            causes.join("; ")
        );
        return Err(unusable("ca-file", reason.trim_end_matches([':', ' '])));
    }
    Ok(roots)
}

fn with_identity(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    cert_file: &Path,
    key_file: &Path,
) -> io::Result<ClientConfig> {
    let chain = certificates("cert-file", cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file);
    let key = key.map_err(|error| unusable_file("key-file", key_file, error))?;
    let config = config.with_client_auth_cert(chain, key);
    config.map_err(|error| unusable_file("key-file", key_file, error))
}

/// The certificates in a file, one at least.
fn certificates(setting: &str, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| unusable_file(setting, path, error))?;
    if certificates.is_empty() {
        return Err(unusable_file(setting, path, "there is no certificate in it"));
    }
    Ok(certificates)
}

fn unusable_file(setting: &str, path: &Path, reason: impl std::fmt::Display) -> io::Error {
    unusable(setting, format!("{}: {reason}", path.display()))
}

/// That a setting's value can't be used; `setting` is the end of its name.
fn unusable(setting: &str, reason: impl std::fmt::Display) -> io::Error {
    let text = format!("'upstream-tls-{setting}': {reason}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// A stream that goes on sending what it holds back while it is read. TLS holds back what the socket has no room for,
/// and who waits for a reply to it would wait for ever.
pub struct Driven<S> {
    stream: S,
    is_flushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Driven<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_flushed
            && let Poll::Ready(flushed) = self.as_mut().poll_flush(cx)
        {
            flushed?;
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Driven<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_flushed = false;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::path::PathBuf;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

    /// An authority, and a folder for the files of a test.
    struct Bench {
        authority: CertifiedIssuer<'static, KeyPair>,
        folder: TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self {
                authority: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
                folder: TempDir::new().unwrap(),
            }
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }

        /// Settings that trust this authority.
        fn trusting(&self) -> Settings {
            Settings {
                ca_file: Some(self.file("ca.pem", &self.authority.pem())),
                ..Settings::default()
            }
        }

        /// The other end for a server whose certificate is for `name`.
        fn acceptor(&self, name: &str) -> TlsAcceptor {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &self.authority).unwrap();
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
            TlsAcceptor::from(Arc::new(config))
        }

        /// Connects to a server that is called `certified`, as one that was reached at `host`.
        async fn connect(
            &self,
            settings: &Settings,
            certified: &str,
            host: &str,
            room: usize,
        ) -> io::Result<(
            Driven<TlsStream<DuplexStream>>,
            tokio_rustls::server::TlsStream<DuplexStream>,
        )> {
            let tls = Tls::new(settings)?;
            let (ours, theirs) = tokio::io::duplex(room);
            let acceptor = self.acceptor(certified);
            let (client, server) = tokio::join!(tls.secure(host, ours), acceptor.accept(theirs));
            Ok((client?, server?))
        }
    }

    fn refusal(settings: &Settings) -> String {
        Tls::new(settings).err().expect("it is refused").to_string()
    }

    #[tokio::test]
    async fn names_and_addresses_are_proven() {
        let bench = Bench::new();
        for (certified, host, is_right) in [
            ("cache.local", "cache.local", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("::1", "::1", true),
            ("cache.local", "other.local", false),
            ("cache.local", "127.0.0.1", false),
        ] {
            let connected = bench.connect(&bench.trusting(), certified, host, 1 << 16).await;
            match connected {
                Ok(_) => assert!(is_right, "{host}"),
                Err(error) => assert!(
                    !is_right && error.to_string().contains("TLS: invalid peer certificate"),
                    "{error}"
                ),
            }
        }
        let settings = Settings {
            server_name: Some("cache.local".to_owned()),
            ..bench.trusting()
        };
        assert!(
            bench
                .connect(&settings, "cache.local", "127.0.0.1", 1 << 16)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn strangers_are_not_trusted() {
        let (bench, stranger) = (Bench::new(), Bench::new());
        let connected = bench.connect(&stranger.trusting(), "h", "h", 1 << 16).await;
        let error = connected.err().unwrap().to_string();
        assert!(error.contains("TLS: invalid peer certificate"), "{error}");
    }

    /// Written and not flushed, what the pipe has no room for stays with the session, and the reply never came.
    #[tokio::test]
    async fn who_waits_for_a_reply_sends_what_was_held_back() {
        let bench = Bench::new();
        let request = vec![7_u8; 60_000];
        let (mut client, mut server) = bench.connect(&bench.trusting(), "h", "h", 4096).await.unwrap();
        let asks = async {
            client.write_all(&request).await.unwrap();
            client.read_u8().await.unwrap()
        };
        let answers = async {
            let mut heard = vec![0; request.len()];
            server.read_exact(&mut heard).await.unwrap();
            server.write_all(b"!").await.unwrap();
            server.flush().await.unwrap();
            heard
        };
        let (reply, heard) = tokio::join!(asks, answers);
        assert_eq!((reply, heard), (b'!', request));
    }

    #[test]
    fn files_that_are_no_good_are_named_with_their_setting() {
        let bench = Bench::new();
        let empty = bench.file("empty.pem", "");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["me".to_owned()]).unwrap();
        let own = params.signed_by(&key, &bench.authority).unwrap();
        let cert_file = bench.file("cert.pem", &own.pem());
        let key_file = bench.file("key.pem", &key.serialize_pem());
        let other_key = bench.file("other.pem", &KeyPair::generate().unwrap().serialize_pem());
        let with = |ca: &Path, cert: &Path, key: &Path| Settings {
            ca_file: Some(ca.to_owned()),
            cert_file: Some(cert.to_owned()),
            key_file: Some(key.to_owned()),
            server_name: None,
        };
        let ca = bench.trusting().ca_file.unwrap();
        assert!(Tls::new(&with(&ca, &cert_file, &key_file)).is_ok());
        let nowhere = Path::new("/nowhere");
        for (settings, text) in [
            (
                with(nowhere, &cert_file, &key_file),
                "'upstream-tls-ca-file': /nowhere: ",
            ),
            (
                with(&empty, &cert_file, &key_file),
                "there is no certificate in it",
            ),
            (with(&ca, &key_file, &key_file), "'upstream-tls-cert-file': "),
            (with(&ca, &cert_file, &cert_file), "'upstream-tls-key-file': "),
            (with(&ca, &cert_file, &other_key), "'upstream-tls-key-file': "),
        ] {
            let told = refusal(&settings);
            assert!(told.contains(text), "{told}");
        }
        let misnamed = Settings {
            server_name: Some("not a name".to_owned()),
            ..bench.trusting()
        };
        assert!(refusal(&misnamed).contains("'upstream-tls-server-name': it is no host name"));
    }
}
