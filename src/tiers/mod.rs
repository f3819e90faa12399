//! An upstream behind the store.

use crate::commands::index::Entry;
use crate::commands::spec::Result;
use crate::resp::Request;
use crate::session::Session;
use crate::store::Visit;

/// The tiers of a server with an upstream.
pub struct Tiers {}

/// What is known after the absent keys of a request were asked for.
pub enum Filled {
    /// Each key is resident, or was found missing: those at these positions of the request.
    Known {
        /// Positions in the request.
        missing: Vec<usize>,
    },
    /// Some key has a value that is not kept here: the request is upstream's to answer.
    Elsewhere,
}

impl Tiers {
    /// Starts the tiers that the configuration asks for; `None` without an upstream.
    pub fn start(_services: &std::sync::Arc<crate::services::Services>) -> std::io::Result<Option<std::sync::Arc<Self>>> {
        Ok(None)
    }

    /// Fetches the keys of `request` that are absent, each once however many clients ask for it.
    pub async fn fill(&self, _entry: &'static Entry, _request: Request<'_>, _visit: Visit) -> Result<Filled> {
        Ok(Filled::Elsewhere)
    }

    /// Sends `request` to upstream and writes its reply to `out`. Copies of the keys that it changed are gone
    /// before this returns. `entry` is `None` for a command that only upstream knows.
    pub async fn forward(
        &self,
        _entry: Option<&'static Entry>,
        _request: Request<'_>,
        _session: &mut Session,
        _out: &mut Vec<u8>,
    ) -> Result {
        Ok(())
    }
}
