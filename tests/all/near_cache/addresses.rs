//! Ways to upstream: TLS, sockets, several addresses.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::{ask, eventually, info, near_cache_at, settle};
use crate::client::Client;
use crate::process::forebay;
use crate::server::{Server, free_port, redis_server};

/// The name in the certificate of upstream.
const NAME: &str = "cache.test";

/// An authority with a certificate for upstream and one for clients, as files.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let all = Self {
            folder: TempDir::new().unwrap(),
        };
        std::fs::write(all.path("ca.pem"), authority.pem()).unwrap();
        for (file, name) in [("server", NAME), ("client", "forebay")] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            // With the name of its authority, it would seem to have signed itself.
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &authority).unwrap();
            std::fs::write(all.path(&format!("{file}.pem")), certificate.pem()).unwrap();
            std::fs::write(all.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        }
        all
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn file(&self, file: &str) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    /// A redis-server that asks clients for certificates, and the port on which it speaks TLS.
    fn upstream(&self) -> Option<(Server, u16)> {
        let port = free_port();
        let server = Server::start(
            &redis_server()?,
            &[
                "--tls-port",
                &port.to_string(),
                "--tls-cert-file",
                &self.file("server.pem"),
                "--tls-key-file",
                &self.file("server.key"),
                "--tls-ca-cert-file",
                &self.file("ca.pem"),
                "--tls-auth-clients",
                "yes",
            ],
        );
        Some((server, port))
    }
}

/// The flags of a Forebay that has all it takes, with the files of these authorities.
fn flags(trusted: &Certificates, own: &Certificates, name: &str) -> Vec<String> {
    [
        ("--upstream-tls-ca-file", trusted.file("ca.pem")),
        ("--upstream-tls-cert-file", own.file("client.pem")),
        ("--upstream-tls-key-file", own.file("client.key")),
        ("--upstream-tls-server-name", name.to_owned()),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value])
    .collect()
}

fn near(url: &str, flags: &[String]) -> Server {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    near_cache_at(url, &flags)
}

#[test]
fn over_tls_everything_works_as_without() {
    let certificates = Certificates::new();
    let Some((u, port)) = certificates.upstream() else {
        return;
    };
    let f = near(
        &format!("rediss://127.0.0.1:{port}/1"),
        &flags(&certificates, &certificates, NAME),
    );
    let (mut direct, mut near) = (u.connect(), f.connect());
    ask(&mut direct, &["SELECT", "1"]);
    // More than the buffers of the session and of the socket have room for, both ways.
    let large = "x".repeat(8 << 20);
    assert_eq!(ask(&mut near, &["SET", "large", &large]), "OK");
    assert_eq!(
        ask(&mut direct, &["STRLEN", "large"]),
        format!(":{}", large.len())
    );
    assert_eq!(ask(&mut direct, &["SET", "k", &large]), "OK");
    assert_eq!(ask(&mut near, &["GET", "k"]), format!("\"{large}\""));
    assert_eq!(ask(&mut direct, &["SET", "k", "v"]), "OK");
    settle(&mut near);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    // Over the session's own connection.
    assert_eq!(ask(&mut near, &["MULTI"]), "OK");
    assert_eq!(ask(&mut near, &["SET", "k", &large]), "QUEUED");
    assert_eq!(ask(&mut near, &["EXEC"]), "[OK]");
    assert_eq!(ask(&mut direct, &["STRLEN", "k"]), format!(":{}", large.len()));
}

#[test]
fn over_tls_both_sides_have_to_prove_who_they_are() {
    let (certificates, strangers) = (Certificates::new(), Certificates::new());
    let Some((_u, port)) = certificates.upstream() else {
        return;
    };
    let url = format!("rediss://127.0.0.1:{port}");
    let without_client: Vec<String> = [
        flags(&certificates, &certificates, NAME)[..2].to_vec(),
        vec!["--upstream-tls-server-name".to_owned(), NAME.to_owned()],
    ]
    .concat();
    let unnamed = flags(&certificates, &certificates, NAME)[..6].to_vec();
    for (flags, reason) in [
        (flags(&strangers, &certificates, NAME), "invalid peer certificate"),
        (
            flags(&certificates, &certificates, "other.test"),
            "not valid for name",
        ),
        (unnamed, "not valid for name"),
        (flags(&certificates, &strangers, NAME), ""),
        (without_client, ""),
    ] {
        let f = near(&url, &flags);
        let refused = ask(&mut f.connect(), &["GET", "k"]);
        let start = format!("-UPSTREAM not connected: 127.0.0.1:{port}: ");
        assert!(
            refused.starts_with(&start) && refused.contains(reason),
            "{refused}"
        );
    }
}

#[test]
fn a_port_with_tls_is_not_spoken_to_without() {
    let certificates = Certificates::new();
    let Some((u, port)) = certificates.upstream() else {
        return;
    };
    let plain = near(&format!("redis://127.0.0.1:{port}"), &[]);
    assert!(ask(&mut plain.connect(), &["GET", "k"]).starts_with("-UPSTREAM not connected"));
    let secure = near(
        &format!("rediss://{}", u.address()),
        &flags(&certificates, &certificates, NAME),
    );
    assert!(ask(&mut secure.connect(), &["GET", "k"]).starts_with("-UPSTREAM not connected"));
}

#[test]
fn unusable_files_end_the_start_and_are_named() {
    let certificates = Certificates::new();
    let (cert, key) = (certificates.file("client.pem"), certificates.file("client.key"));
    for (flags, told) in [
        (
            ["--upstream-tls-ca-file", "/nowhere.pem"].to_vec(),
            "'upstream-tls-ca-file': /nowhere.pem: ",
        ),
        (
            ["--upstream-tls-ca-file", &key].to_vec(),
            "there is no certificate in it",
        ),
        (
            [
                "--upstream-tls-cert-file",
                &cert,
                "--upstream-tls-key-file",
                &cert,
            ]
            .to_vec(),
            "'upstream-tls-key-file': ",
        ),
        (
            ["--upstream-tls-cert-file", &cert].to_vec(),
            "expected one in 'upstream-tls-key-file'",
        ),
    ] {
        let args = [
            &[
                "--port",
                "0",
                "--unixsocket",
                "/nowhere",
                "--upstream",
                "rediss://:pw@h",
            ],
            &*flags,
        ]
        .concat();
        let output = forebay(&args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(told) && !error.contains("pw"),
            "{error}"
        );
    }
}

#[test]
fn a_socket_leads_to_upstream_too() {
    let Some(program) = redis_server() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let u = Server::start(&program, &["--unixsocket", path, "--requirepass", "p&ss"]);
    let f = near_cache_at(&format!("unix://{path}?db=2&password=p%26ss"), &[]);
    assert_eq!(ask(&mut f.connect(), &["SET", "k", "v"]), "OK");
    let mut direct = u.connect();
    ask(&mut direct, &["AUTH", "p&ss"]);
    ask(&mut direct, &["SELECT", "2"]);
    assert_eq!(ask(&mut direct, &["GET", "k"]), "\"v\"");
}

/// Two servers for the same near cache, the second with a password and another database.
fn two() -> Option<(Server, Server, String)> {
    let program = redis_server()?;
    let first = Server::start(&program, &[]);
    let second = Server::start(&program, &["--requirepass", "hunter2"]);
    let urls = format!(
        "redis://{}, redis://:hunter2@{}/3",
        first.address(),
        second.address()
    );
    Some((first, second, urls))
}

fn leads_to(near: &mut Client, server: &Server) -> bool {
    info(near, "upstream_address") == server.address().to_string() && info(near, "upstream_link") == "up"
}

#[test]
fn the_first_address_that_answers_is_used_until_it_is_lost() {
    let Some((mut first, mut second, urls)) = two() else {
        return;
    };
    first.kill();
    let f = near_cache_at(&urls, &[]);
    let mut near = f.connect();
    assert!(leads_to(&mut near, &second));
    assert_eq!(ask(&mut near, &["SET", "k", "v"]), "OK");
    assert_eq!(ask(&mut near, &["MULTI"]), "OK");
    assert_eq!(ask(&mut near, &["INCR", "n"]), "QUEUED");
    assert_eq!(ask(&mut near, &["EXEC"]), "[:1]");
    let mut direct = second.connect();
    ask(&mut direct, &["AUTH", "hunter2"]);
    ask(&mut direct, &["SELECT", "3"]);
    assert_eq!(ask(&mut direct, &["MGET", "k", "n"]), "[\"v\", \"1\"]");
    // The first one is back, and nothing changes.
    first.restart();
    assert_eq!(ask(&mut near, &["SET", "k", "w"]), "OK");
    assert_eq!(ask(&mut direct, &["GET", "k"]), "\"w\"");
    // The second one goes.
    second.kill();
    eventually("the first is used", || leads_to(&mut near, &first));
    assert_eq!(ask(&mut near, &["GET", "k"]), "(nil)");
    eventually("the session's own connection follows", || {
        ask(&mut near, &["MULTI"]) == "OK"
    });
    assert_eq!(ask(&mut near, &["SET", "k", "x"]), "QUEUED");
    assert_eq!(ask(&mut near, &["EXEC"]), "[OK]");
    assert_eq!(ask(&mut first.connect(), &["GET", "k"]), "\"x\"");
    assert!(!f.log().contains("hunter2"), "{}", f.log());
}

#[test]
fn connections_of_sessions_follow_the_link_to_another_address() {
    let Some((mut first, second, urls)) = two() else {
        return;
    };
    first.kill();
    let f = near_cache_at(
        &urls,
        &[
            "--upstream-timeout-ms",
            "200",
            "--upstream-connect-timeout-ms",
            "200",
        ],
    );
    let (mut plain, mut watcher, mut other) = (f.connect(), f.connect(), f.connect());
    assert_eq!(ask(&mut plain, &["MULTI"]), "OK");
    assert_eq!(ask(&mut plain, &["EXEC"]), "[]");
    assert_eq!(ask(&mut watcher, &["WATCH", "k"]), "OK");
    first.restart();
    // Connections to it stay open.
    second.freeze();
    other.set_patience(Duration::from_secs(20));
    eventually("the first is used", || {
        ask(&mut other, &["GET", "absent"]);
        leads_to(&mut other, &first)
    });
    assert_eq!(ask(&mut plain, &["MULTI"]), "OK");
    assert_eq!(ask(&mut plain, &["SET", "k", "x"]), "QUEUED");
    assert_eq!(ask(&mut plain, &["EXEC"]), "[OK]");
    assert_eq!(ask(&mut first.connect(), &["GET", "k"]), "\"x\"");
    // What it watched is not watched any more: it has to notice. The connection may have been found dead before.
    if let Ok(reply) = watcher.call(&["MULTI"]) {
        let reply = reply.to_string();
        assert!(reply.starts_with("-UPSTREAM"), "{reply}");
    }
    assert!(watcher.is_closed());
}
