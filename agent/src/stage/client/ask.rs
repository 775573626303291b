//! One question to the server: is there anything newer?

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;

use crate::layout::Layout;
use crate::net::Stop;
use crate::plan::boot::BootPlan;
use crate::plan::fetch::What;
use crate::report::Report;
use crate::stage::context::Context;
use crate::stage::fetch::{Options, Small, fetch_small_if_newer};
use crate::stage::network;
use crate::stage::source::{Source, certificate_of_node};
use crate::sys::Kernel;

/// Longest time for one question: overlays are built while the client waits.
const LIMIT: Duration = Duration::from_secs(600);

/// All that is needed to ask.
pub struct Question {
    /// The kernel, for the way to the server.
    pub kernel: &'static dyn Kernel,
    /// Where things are.
    pub layout: Layout,
    /// Whom to ask, and as whom.
    pub plan: BootPlan,
    /// The date of what is here, one an overlay; one that is missing is asked for whole.
    pub dates: Vec<Option<String>>,
    /// Ends it.
    pub stop: Stop,
}

/// The overlays, all of them where one is newer; `None` where none is.
pub type Answer = Option<Vec<Small>>;

/// Asks once: whoever wants to know asks again later.
///
/// # Errors
/// No way to the server, what the server says, or a damaged archive.
pub fn ask(question: &Question) -> anyhow::Result<Answer> {
    let report = Mutex::new(Report::new(String::new()));
    let ctx = Context::new(question.kernel, &question.layout, LIMIT, &report);
    let (plan, layout) = (&question.plan, &question.layout);
    let reached = network::find(&ctx, &plan.server, &plan.mac)
        .with_context(|| format!("finding the way to {}", plan.server))?;
    let source = Source::named(&ctx, plan, &reached.mac, &certificate_of_node(layout))?
        .for_runtime_in(&layout.sysroot, &plan.server)?;
    let options = patient_elsewhere(source.options(&ctx, What::Runtime), &question.stop);

    let mut answers = Vec::new();
    let requests = source.provision.requests(What::Runtime);
    for (number, request) in requests.iter().enumerate() {
        let since = question.dates.get(number).and_then(Option::as_deref);
        answers.push(fetch_small_if_newer(request, &options, since)?);
    }
    if answers.iter().all(Option::is_none) {
        return Ok(None);
    }
    // The last overlay wins, so what one of them changes depends on all of them.
    for (request, answer) in requests.iter().zip(&mut answers) {
        if answer.is_none() {
            *answer = fetch_small_if_newer(request, &options, None)?;
        }
    }
    Ok(Some(answers.into_iter().flatten().collect()))
}

/// One try, and no word about it: the client's loop waits, tells and asks again.
fn patient_elsewhere(mut options: Options, stop: &Stop) -> Options {
    options.policy.failures = Some(1);
    options.policy.on_retry = Arc::new(|_| {});
    options.policy.stop = stop.clone();
    options.downloads = 1;
    options
}
