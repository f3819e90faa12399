//! A client without a socket: its requests go straight to dispatch.

use std::sync::Arc;

use forebay::clients::Endpoints;
use forebay::config::Config;
use forebay::dispatch::{self, Step, Turn};
use forebay::resp::{DecodeLimits, Decoded, Decoder};
use forebay::services::Services;
use forebay::session::Session;
use forebay::worker::Worker;

/// The one client of a server with the default settings.
pub struct LocalClient {
    /// What its server has.
    pub worker: Worker,
    session: Session,
    decoder: Decoder,
    replies: Vec<u8>,
}

impl LocalClient {
    /// The client of a new server.
    pub fn new() -> Self {
        let services = Arc::new(Services::new(Config::default(), None));
        let ends = Endpoints {
            peer: "local".into(),
            local: "local".into(),
            fd: -1,
            is_local: true,
            is_unix: false,
        };
        let client = services.clients.connect(ends, 1, 0).expect("it is the first");
        Self {
            worker: Worker::new(services, None),
            session: Session::new(client, true),
            decoder: Decoder::default(),
            replies: Vec::with_capacity(64 * 1024),
        }
    }

    /// Runs the requests in `input`, all of them whole, as those of one read; the replies.
    pub fn run(&mut self, mut input: &[u8]) -> &[u8] {
        self.replies.clear();
        let mut turn = Turn::begin(&self.worker);
        while let Ok(Decoded::Whole { consumed }) = self.decoder.decode(input, &DecodeLimits::default()) {
            let request = self.decoder.request(input);
            let prepared = dispatch::prepare(request, &self.worker);
            let (session, replies) = (&mut self.session, &mut self.replies);
            let step = dispatch::execute(request, prepared, session, &self.worker, replies, &mut turn);
            assert_eq!(step, Step::Done, "no such request has to wait");
            input = &input[consumed..];
        }
        &self.replies
    }
}

/// A request on the wire.
pub fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}
