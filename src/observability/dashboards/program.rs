//! For those who answer for the program: how far it is, who is there, who is not, and how fast it goes.

use super::panel::{Color, Dashboard, Kind, MUCH_IS_GOOD, PLAIN, Panel, Query, Row, STATES, Table, Variable};
use super::queries::{Scope, by_team, sum_by, teams, teams_all_the_way, teams_begun, total};
use super::{closing, delivery, plans};
use crate::observability::catalogue::{
    ELIGIBLE_WORKLOADS, SCORE, SERVICE_ORIGINS, SERVICES, WORKLOAD_ADOPTION, WORKLOADS,
};

const SCOPE: Scope = Scope { labels: &["path"] };

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "goldenpath-program",
        title: "Goldenpath / Program",
        description: "How far the migration onto golden paths is, for those who answer for it.",
        from: "now-90d",
        variables: vec![Variable { name: "path", label: "Path", metric: WORKLOAD_ADOPTION.name, many: true }],
        rows: vec![
            Row { title: "How far are we?", height: 5, panels: how_far() },
            Row { title: "How did we get here?", height: 9, panels: course() },
            Row { title: "Who is there, and who is not?", height: 11, panels: who() },
            Row { title: "What is closing, and when?", height: 9, panels: closing::for_the_program() },
            Row { title: "What comes first, and what could go wrong?", height: 8, panels: plans::for_the_program() },
            Row { title: "Is it worth it?", height: 8, panels: delivery::on_and_off_the_road() },
            Row { title: "On which terms?", height: 7, panels: terms() },
        ],
    }
}

fn adopted() -> String {
    total(&SCOPE.adopted())
}

fn eligible() -> String {
    format!("sum({})", SCOPE.eligible())
}

/// What was brought onto the road within the last 30 days; nothing when that is not known.
fn moved() -> String {
    let then = SCOPE.gauge_before(&WORKLOADS, r#"state="Adopted""#, "30d");
    // no workload was on the road then, but some could have been: zero, not unknown
    let none = format!("0 * sum({})", SCOPE.gauge_before(&ELIGIBLE_WORKLOADS, "", "30d"));
    format!("({} - (sum({then}) or {none}))", adopted())
}

fn how_far() -> Vec<Panel> {
    let share = format!("{} / {}", adopted(), eligible());
    let to_go = format!("({} - {})", eligible(), adopted());
    let days = format!("{to_go} * 30 / ({} > 0)", moved());
    vec![
        Panel::new(
            5,
            Kind::Stat,
            "Workloads on the road",
            "Adopted workloads over all that could be, whether a service names them or not.",
            vec![Query::over_time("on the road", share)],
        )
        .unit("percentunit")
        .steps(MUCH_IS_GOOD)
        .empty("no workloads yet"),
        Panel::new(
            5,
            Kind::Stat,
            "Teams",
            "Teams with every eligible workload on the road, and teams that have any. Beyond a hundred teams the smallest \
             count as one.",
            vec![Query::over_time("all the way", teams_all_the_way(SCOPE)), Query::over_time("in all", teams(SCOPE))],
        )
        .empty("no teams yet"),
        Panel::new(
            4,
            Kind::Stat,
            "Workloads to go",
            "Workloads that could be on the road and are not.",
            vec![Query::over_time("to go", to_go.clone())],
        )
        .empty("no workloads yet"),
        Panel::new(
            5,
            Kind::Stat,
            "Moved in 30 days",
            "Workloads on the road now, less those of 30 days ago.",
            vec![Query::now("moved", moved())],
        )
        .empty("known after 30 days"),
        Panel::new(
            5,
            Kind::Stat,
            "Time to go at this pace",
            "What is to go over what moved in the last 30 days. No promise: the last teams are seldom the fastest.",
            vec![Query::now("to go", days)],
        )
        .unit("d")
        .empty("no pace yet"),
    ]
}

fn course() -> Vec<Panel> {
    let named = total(&SCOPE.named());
    vec![
        Panel::new(
            12,
            Kind::Lines,
            "Adoption",
            "Workloads on the road, workloads that a service names, and teams that are all the way there, as shares of \
             those that could be; and what is deprecated and has to be moved still, as a share of the most there was in 90 \
             days.",
            vec![
                Query::over_time("Workloads on the road", format!("{} / {}", adopted(), eligible())),
                Query::over_time("Workloads named by a service", format!("{named} / {}", eligible())),
                Query::over_time("Teams all the way", format!("{} / {}", teams_all_the_way(SCOPE), teams(SCOPE))),
                Query::over_time("Old ways left", closing::share_left()),
            ],
        )
        .unit("percentunit")
        .colors(&[
            ("Old ways left", Color::Vermillion),
            ("Workloads on the road", Color::Blue),
            ("Workloads named by a service", Color::Purple),
            ("Teams all the way", Color::Orange),
        ]),
        Panel::new(
            12,
            Kind::Lines,
            "The road against everything else",
            "Workloads on the road, workloads that are named and on their way, and workloads that no service names.",
            vec![
                Query::over_time("On the road", adopted()),
                Query::over_time("On their way", format!("{named} - {}", adopted())),
                Query::over_time("Named by nobody", format!("{} - {named}", eligible())),
            ],
        )
        .colors(&[
            ("On the road", Color::Blue),
            ("On their way", Color::Orange),
            ("Named by nobody", Color::Vermillion),
        ]),
    ]
}

fn who() -> Vec<Panel> {
    let (adopted, eligible) = (SCOPE.adopted(), SCOPE.eligible());
    let by = |part: &str| sum_by("team", &by_team(part, &eligible));
    let all = sum_by("team", &eligible);
    let score = format!("avg by (team) ({})", SCOPE.gauge(&SCORE, ""));
    let table = Table::Columns { key: "team", name: "Team", sort: "To go", link: "goldenpath-team" };
    vec![
        Panel::new(
            14,
            Kind::Table(table),
            "Teams by what is to go",
            "Every team with eligible workloads. Score is the weight of the defaults in place over those that apply, the \
             mean of the team's paths; a team that names nothing has none.",
            vec![
                Query::now("Workloads", all.clone()),
                Query::now("On the road", by(&adopted)),
                Query::now("To go", format!("{all} - {}", by(&adopted))),
                Query::now("Share", format!("{} / {all}", by(&adopted))).unit("percentunit"),
                Query::now("Score", score).unit("percentunit"),
            ],
        ),
        Panel::new(
            10,
            Kind::Lines,
            "Teams over time",
            "Teams that are all the way there, teams that have named anything, and teams that have something to bring.",
            vec![
                Query::over_time("All the way", teams_all_the_way(SCOPE)),
                Query::over_time("Have begun", teams_begun(SCOPE)),
                Query::over_time("In all", teams(SCOPE)),
            ],
        )
        .colors(&[("All the way", Color::Blue), ("Have begun", Color::Orange), ("In all", Color::Grey)]),
    ]
}

fn terms() -> Vec<Panel> {
    let services = SCOPE.gauge(&SERVICES, "");
    let workloads = SCOPE.named();
    let origins = SCOPE.gauge(&SERVICE_ORIGINS, "");
    vec![
        Panel::new(
            6,
            Kind::Bars,
            "Paths",
            "Adopted workloads over eligible ones, of each path.",
            vec![Query::now("{{path}}", format!("max by (path) ({})", SCOPE.gauge(&WORKLOAD_ADOPTION, "")))],
        )
        .unit("percentunit")
        .steps(MUCH_IS_GOOD),
        Panel::new(
            6,
            Kind::Bars,
            "What brought the services",
            "Voluntary: the team came by itself. Greenfield: the service began on the path. Mandated: something that it \
             has was announced to go, with a date, before the service was created.",
            vec![Query::now("{{origin}}", sum_by("origin", &origins))],
        )
        .colors(&[("Voluntary", Color::Blue), ("Greenfield", Color::Green), ("Mandated", Color::Orange)]),
        Panel::new(
            6,
            Kind::Bars,
            "Services by mode",
            "Observe only reports, Default fills what nobody set, Enforce also replaces what the path forbids to override.",
            vec![Query::now("{{mode}}", sum_by("mode", &services))],
        )
        .steps(PLAIN),
        Panel::new(
            6,
            Kind::Bars,
            "Workloads by state",
            "Workloads that a service names. Migrating waits for the team's next deploy; Drifted was adopted once.",
            vec![Query::now("{{state}}", sum_by("state", &workloads))],
        )
        .colors(STATES),
    ]
}
