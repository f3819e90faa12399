//! The binary of the Docker image, in an empty root, as the image has it.
//!
//! Building it takes minutes, and changing the root takes root. So this runs where
//! `FOREBAY_REQUIRE_STATIC_BINARY` is `1`, as in CI.

use crate::client::Value;
use crate::process::{Running, forebay};
use crate::server::free_port;
use std::env;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What the Dockerfile says, as far as it can be had without Docker.
struct Dockerfile(String);

impl Dockerfile {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
        // An instruction may go on in the next line.
        Self(fs::read_to_string(path).unwrap().replace("\\\n", " "))
    }

    /// The arguments of the first instruction that begins like this.
    fn instruction(&self, start: &str) -> &str {
        let found = self.0.lines().find_map(|line| line.strip_prefix(start));
        found
            .unwrap_or_else(|| panic!("the Dockerfile has no {start}"))
            .trim()
    }

    fn target(&self) -> &str {
        self.instruction("ARG TARGET=")
    }

    /// The shell command that builds the binary.
    fn build_command(&self) -> &str {
        let commands = self.instruction("RUN ");
        let cargo = commands.find("cargo build").expect("the image is built by cargo");
        commands[cargo..].split(" && ").next().unwrap()
    }

    fn user(&self) -> u32 {
        let (user, _group) = self.instruction("USER ").split_once(':').unwrap();
        user.parse()
            .expect("the user is a number, as an empty image has no names")
    }

    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instruction("ENV ")
            .split_whitespace()
            .map(|variable| variable.split_once('=').unwrap())
    }
}

/// A folder that holds what the image holds, and the files that Docker puts into every container.
struct Image {
    dockerfile: Dockerfile,
    root: TempDir,
}

impl Image {
    fn build() -> Self {
        let dockerfile = Dockerfile::read();
        let root = TempDir::new().unwrap();
        fs::copy(build(&dockerfile), root.path().join("forebay")).unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        chown(
            root.path().join("data"),
            Some(dockerfile.user()),
            Some(dockerfile.user()),
        )
        .unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/hosts"), "127.0.0.1 localhost cache.test\n").unwrap();
        let nobody_answers = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        fs::write(root.path().join("etc/resolv.conf"), nobody_answers).unwrap();
        chown(root.path(), Some(dockerfile.user()), None).unwrap();
        Self { dockerfile, root }
    }

    /// The image's entry point with these arguments.
    fn run(&self, args: &[&str]) -> Command {
        let user = self.dockerfile.user();
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={user}:{user}"))
            .arg(self.root.path())
            .arg("/forebay")
            .args(args);
        command
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.dockerfile.variables());
        command
    }
}

/// Builds the binary by the Dockerfile's command; where it is.
fn build(dockerfile: &Dockerfile) -> PathBuf {
    let target_dir = Path::new(forebay(&[]).get_program())
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned();
    let status = Command::new("sh")
        .args(["-c", dockerfile.build_command()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TARGET", dockerfile.target())
        .env("CARGO_TARGET_DIR", &target_dir)
        .env_remove("RUSTFLAGS")
        .status();
    assert!(status.unwrap().success(), "the Dockerfile's build command fails");
    target_dir.join(dockerfile.target()).join("release/forebay")
}

fn is_required() -> bool {
    let required = env::var_os("FOREBAY_REQUIRE_STATIC_BINARY").is_some_and(|value| value == "1");
    if !required {
        eprintln!("skipped: the static binary (FOREBAY_REQUIRE_STATIC_BINARY=1 builds it)");
    }
    required
}

#[test]
fn the_binary_of_the_image_needs_nothing_but_itself() {
    if !is_required() {
        return;
    }
    let image = Image::build();
    let port = free_port();
    let port_text = port.to_string();
    let (mut server, mut client) = Running::start(&mut image.run(&["--port", &port_text]), port);
    assert_eq!(client.call(&["PING"]).unwrap(), Value::Simple("PONG".to_owned()));

    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let user = image.dockerfile.user();
    assert!(
        status.contains(&format!("\nUid:\t{user}\t{user}\t{user}\t{user}\n")),
        "{status}"
    );

    let health = |host| {
        image
            .run(&["health", "--port", &port_text, "--bind", host])
            .status()
            .unwrap()
    };
    assert!(health("127.0.0.1").success());
    // A static glibc reads the hosts file and asks name servers without the libraries it has elsewhere.
    assert!(health("cache.test").success(), "names of /etc/hosts are found");
    assert_eq!(
        health("nobody.invalid").code(),
        Some(1),
        "an unknown name is an error, not a crash"
    );

    assert!(server.stop().success());
}
