//! From results to tables: what was promised and whether it was reached, then everything side by side. Pure.

use std::fmt::Write as _;

use super::adoption::Adoption;
use super::cold::ColdStart;
use super::deprecations::Deprecations;
use super::fleet::Fleet;
use super::idle::Idle;
use super::latency::{Latency, Percentiles};
use super::micro::Micro;
use super::null_client;
use super::relists::Relists;
use super::scrape::Scrapes;
use super::stats::{Spread, amount, short};
use super::table::Table;
use super::waves::Waves;

const MEBIBYTE: f64 = 1_048_576.0;
const MILLISECONDS: f64 = 1_000.0;

/// Cold starts, one of each contender a round.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// The null client
    pub null_client: Vec<null_client::Run>,
    /// The operator
    pub operator: Vec<ColdStart>,
    /// Seconds from starting the operator until all claimed workloads had their verdicts
    pub evaluated: Vec<f64>,
    /// Scrapes of the operator when its memory was steady
    pub scrapes: Vec<Scrapes>,
    /// kube-state-metrics, or nothing where it was left out
    pub kube_state_metrics: Vec<(ColdStart, Scrapes)>,
}

/// What was promised, and what came of it.
#[must_use]
pub fn budget_table(budgets: Vec<Budget>) -> Table {
    let mut table = Table::new(["Promise", "At most", "Measured", "Kept"]);
    for budget in budgets {
        let kept = if budget.is_met() { "yes" } else { "MISSED" };
        table.row([budget.what, short(budget.limit), budget.measured.to_string(), kept.to_owned()]);
    }
    table
}

/// Everything that one run of the benchmark measured.
#[derive(Clone, Debug)]
pub struct Results {
    /// On what
    pub fleet: Fleet,
    /// Cold starts
    pub rounds: Rounds,
    /// Adopting and the null writer
    pub adoption: Adoption,
    /// The operator with nothing to do
    pub idle: Idle,
    /// One a run
    pub latency: Vec<Latency>,
    /// A changed path
    pub waves: Waves,
    /// Forced relists
    pub relists: Relists,
    /// The inner loops without a cluster, one a run
    pub micro: Vec<Micro>,
    /// Many Deprecations
    pub deprecations: Deprecations,
}

/// One promise and what came of it.
#[derive(Clone, Debug)]
pub struct Budget {
    /// What was promised
    pub what: String,
    /// At most this
    pub limit: f64,
    /// What was measured
    pub measured: Spread,
}

impl Budget {
    /// Whether the median keeps the promise.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.measured.median <= self.limit
    }
}

impl Results {
    /// The promises for a fleet of this size.
    #[must_use]
    pub fn budgets(&self) -> Vec<Budget> {
        let mut budgets = Vec::new();
        let mut add = |what: &str, limit: f64, values: Vec<f64>| {
            budgets.extend(Spread::of(values).map(|measured| Budget { what: what.to_owned(), limit, measured }));
        };
        let steady = if self.fleet.workloads <= 10_000 { 24.0 } else { 64.0 };
        let of = |value: fn(&ColdStart) -> f64| self.rounds.operator.iter().map(value).collect::<Vec<f64>>();
        add("resident memory when steady, MiB", steady, of(|run| run.steady / MEBIBYTE));
        add("peak of the first sync / steady", 1.25, of(|run| run.peak / run.steady));
        let relists = &self.relists;
        add(&format!("peak through {} relists / before", relists.times), 1.1, vec![relists.peak / relists.before]);
        let pairs = self.rounds.operator.iter().zip(&self.rounds.null_client);
        add("all seen and counted / null client", 1.5, pairs.map(|(o, n)| o.counted / n.took.as_secs_f64()).collect());
        let of = |value: fn(&Micro) -> f64| self.micro.iter().map(value).collect();
        add("decoding and counting 100,000 lines on one thread, s", 2.0, of(|run| run.decode * 100_000.0));
        add("twelve checks on one workload, us", 50.0, of(|run| run.check * 1e6));
        let idle = format!("in {:.0} s without a change", self.idle.seconds);
        add(&format!("writes {idle}"), 0.0, vec![amount(self.idle.writes)]);
        let events = self.latency.iter().map(|run| run.delivered.p99 * MILLISECONDS).collect();
        add("event at a bare watch to /metrics at 200/s, p99, ms", 50.0, events);
        let scrapes = self.rounds.scrapes.iter().map(|run| run.p99 * MILLISECONDS).collect();
        add("scrape, p99, ms", 5.0, scrapes);
        let Adoption { operator, null_writer, conflicts, repeated, .. } = &self.adoption;
        let ratios = operator.iter().zip(null_writer).map(|(ours, null)| ours / null).collect();
        add(&format!("{} services applied at once, all Ready / null writer", self.fleet.services), 1.5, ratios);
        add("conflicts meanwhile", 0.0, conflicts.clone());
        add("writes meanwhile beyond one a workload and one a service, and the path's", 0.0, repeated.clone());
        let steps = &self.waves.steps;
        let beyond = steps.iter().map(|step| amount(step.beyond())).collect();
        add("writes of a wave beyond one a workload and one a service that moved, and the path's", 0.0, beyond);
        let of_path = steps.iter().map(|step| amount(step.of_path)).collect();
        add("writes about the path itself while one wave of four moves", 2.0 * amount(steps.len()), of_path);
        let rollouts = usize::try_from(self.waves.rollouts).map_or(0.0, amount);
        add("rollouts of a workload while the path changed, its team's own included", 1.0, vec![rollouts]);
        budgets.extend(self.deprecations.budgets());
        budgets
    }

    /// All tables, as Markdown.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = format!("{}\n", budget_table(self.budgets()));
        let Fleet { workloads, namespaces, services, .. } = self.fleet;
        let _ = writeln!(
            text,
            "Cold starts, {} rounds in alternating order; {workloads} Deployments in {namespaces} namespaces, {} of them \
             claimed by {services} services:\n\n{}",
            self.rounds.operator.len(),
            self.fleet.claimed(),
            self.side_by_side()
        );
        let _ = writeln!(text, "Writing and waiting:\n\n{}", self.writing());
        let _ =
            writeln!(text, "Requests of the operator while it adopted them, by the audit log:\n\n{}", self.requests());
        let _ = writeln!(text, "A changed path, wave by wave; the teams roll out after each:\n\n{}", self.by_wave());
        let _ = writeln!(
            text,
            "From an event to `/metrics`, upper bounds (the page is read every 10 ms):\n\n{}",
            self.events()
        );
        let _ = writeln!(text, "{}", self.deprecations.tables());
        text
    }

    fn side_by_side(&self) -> Table {
        let mut table = Table::new(["", "null client", "goldenpath", "kube-state-metrics"]);
        let null = |value: fn(&null_client::Run) -> f64| self.rounds.null_client.iter().map(value).collect();
        let ours = |value: fn(&ColdStart) -> f64| self.rounds.operator.iter().map(value).collect();
        let theirs =
            |value: fn(&ColdStart) -> f64| self.rounds.kube_state_metrics.iter().map(|(run, _)| value(run)).collect();
        let our_page = |value: fn(&Scrapes) -> f64| self.rounds.scrapes.iter().map(value).collect();
        let their_page =
            |value: fn(&Scrapes) -> f64| self.rounds.kube_state_metrics.iter().map(|(_, s)| value(s)).collect();
        let mut row = |what: &str, columns: [Vec<f64>; 3]| {
            let cell = |values| Spread::of(values).map_or_else(|| "-".to_owned(), |spread| spread.to_string());
            table.row(std::iter::once(what.to_owned()).chain(columns.map(cell)));
        };
        let counted: fn(&ColdStart) -> f64 = |run| run.counted;
        row("from start to all counted, s", [null(|run| run.took.as_secs_f64()), ours(counted), theirs(counted)]);
        row("from start to all claimed evaluated, s", [vec![], self.rounds.evaluated.clone(), vec![]]);
        let cpu: fn(&ColdStart) -> f64 = |run| run.cpu;
        row("processor time until all counted, s", [null(|run| run.read.cpu), ours(cpu), theirs(cpu)]);
        let peak: fn(&ColdStart) -> f64 = |run| run.peak / MEBIBYTE;
        row("peak memory, MiB", [null(|run| run.read.peak / MEBIBYTE), ours(peak), theirs(peak)]);
        let steady: fn(&ColdStart) -> f64 = |run| run.steady / MEBIBYTE;
        row("steady memory, MiB", [vec![], ours(steady), theirs(steady)]);
        row("read, MB", [null(|run| amount(run.read.bytes) / 1e6), vec![], vec![]]);
        let p50: fn(&Scrapes) -> f64 = |page| page.p50 * MILLISECONDS;
        row("scrape, p50, ms", [vec![], our_page(p50), their_page(p50)]);
        let p99: fn(&Scrapes) -> f64 = |page| page.p99 * MILLISECONDS;
        row("scrape, p99, ms", [vec![], our_page(p99), their_page(p99)]);
        let size: fn(&Scrapes) -> f64 = |page| amount(page.bytes) / 1e3;
        row("page, kB", [vec![], our_page(size), their_page(size)]);
        let series: fn(&Scrapes) -> f64 = |page| amount(page.series);
        row("series", [vec![], our_page(series), their_page(series)]);
        table
    }

    fn writing(&self) -> Table {
        let mut table = Table::new(["", "Measured"]);
        let mut row = |what: String, values: Vec<f64>| {
            table.row([what, Spread::of(values).map_or_else(|| "-".to_owned(), |spread| spread.to_string())]);
        };
        let Adoption { operator, null_writer, dry_runs, .. } = &self.adoption;
        let what = format!("{} workloads of {} new services", self.fleet.claimed(), self.fleet.services);
        row(format!("{what} adopted, s"), operator.clone());
        row("the same written by the null writer, s".to_owned(), null_writer.clone());
        row("ratio".to_owned(), operator.iter().zip(null_writer).map(|(ours, null)| ours / null).collect());
        row("of these seconds for the dry runs".to_owned(), dry_runs.clone());
        let without = null_writer.iter().zip(dry_runs).map(|(all, asking)| all - asking);
        row(
            "ratio to a writer that does not ask".to_owned(),
            operator.iter().zip(without).map(|(a, b)| a / b).collect(),
        );
        let relists = &self.relists;
        row("one relist, s".to_owned(), vec![relists.seconds]);
        let after = |bytes: f64| vec![bytes / MEBIBYTE];
        row("resident before the first relist, MiB".to_owned(), after(relists.before));
        row("resident after the first relist, MiB".to_owned(), after(relists.after_first));
        row(format!("resident after {} relists, MiB", relists.times), after(relists.after_last));
        let idle = &self.idle;
        row("idle: writes of Events and Leases".to_owned(), vec![amount(idle.events_and_leases)]);
        row(
            "idle: lists of policies, to see whether somebody deleted a binding".to_owned(),
            vec![amount(self.idle.lists)],
        );
        row("idle: watches begun again".to_owned(), vec![amount(idle.watches)]);
        row("idle: share of one core, %".to_owned(), vec![idle.cpu / idle.seconds * 100.0]);
        let verdicts = self.micro.iter().map(|run| run.evaluate * 1e6).collect();
        row("all of a workload's twelve verdicts, whose each value is included, us".to_owned(), verdicts);
        table
    }

    fn requests(&self) -> Table {
        let mut table = Table::new(["Request", "Count"]);
        for (request, count) in &self.adoption.requests {
            table.row([request.clone(), count.to_string()]);
        }
        table
    }

    fn by_wave(&self) -> Table {
        let mut table = Table::new([
            "Wave",
            "services",
            "workloads",
            "writes to move them",
            "of these about the path",
            "seconds",
            "writes while they roll out",
        ]);
        for step in &self.waves.steps {
            let counts = [step.services, step.workloads, step.writes, step.of_path].map(|count| count.to_string());
            let cells = [step.wave.to_owned()].into_iter().chain(counts);
            table.row(cells.chain([short(step.seconds), step.while_rolling_out.to_string()]));
        }
        table
    }

    fn events(&self) -> Table {
        let mut table = Table::new(["", "p50, ms", "p99, ms"]);
        let mut row = |what: &str, of: fn(&Latency) -> Percentiles| {
            let cell = |value: fn(Percentiles) -> f64| {
                let spread = Spread::of(self.latency.iter().map(|run| value(of(run)) * MILLISECONDS));
                spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string())
            };
            table.row([what.to_owned(), cell(|p| p.p50), cell(|p| p.p99)]);
        };
        row("from sending the patch", |run| run.sent);
        row("from the API server's answer to it", |run| run.answered);
        row("from its delivery to a bare watch", |run| run.delivered);
        let of = |value: fn(&Latency) -> f64| {
            Spread::of(self.latency.iter().map(value)).map_or_else(|| "-".to_owned(), |spread| spread.to_string())
        };
        table.row(["events a second".to_owned(), of(|run| run.rate)]);
        table.row(["events a run".to_owned(), of(|run| amount(run.events))]);
        table.row(["operator, share of one core, %".to_owned(), of(|run| run.cpu * 100.0)]);
        table
    }
}
