//! Dashboards as Grafana imports them. Everything is written out, also what Grafana would fill in: its own reader of
//! dashboards takes nothing less.

use serde_json::{Map, Value, json};

use super::panel::{Color, Dashboard, Kind, MUCH_IS_GOOD, Panel, Query, Row, Table, Variable};
use crate::observability::catalogue::BUILD_INFO;

/// The version of the format that these files are written in, so that Grafana has nothing to migrate.
const SCHEMA_VERSION: u32 = 42;
/// Grafana's grid.
const COLUMNS: u32 = 24;

pub(super) fn dashboard(dashboard: &Dashboard) -> Value {
    let variables = [datasource(), cluster()].into_iter().chain(dashboard.variables.iter().map(variable));
    json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["goldenpath"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "preload": false,
        "timezone": "browser",
        "weekStart": "",
        "refresh": "1m",
        "time": {"from": dashboard.from, "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "templating": {"list": variables.collect::<Vec<_>>()},
        "links": [{
            "type": "dashboards", "tags": ["goldenpath"], "title": "", "tooltip": "", "url": "", "icon": "external link",
            "asDropdown": false, "includeVars": true, "keepTime": false, "targetBlank": false,
        }],
        "panels": panels(&dashboard.rows),
    })
}

/// A row is a heading of height one; its panels flow from left to right.
fn panels(rows: &[Row]) -> Vec<Value> {
    let (mut panels, mut y) = (Vec::new(), 0);
    for row in rows {
        let id = panels.len() + 1;
        panels.push(json!({
            "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }));
        y += 1;
        let mut x = 0;
        for panel in &row.panels {
            if x + panel.width > COLUMNS {
                (x, y) = (0, y + row.height);
            }
            let mut written = self::panel(panel);
            written["id"] = json!(panels.len() + 1);
            written["gridPos"] = json!({"x": x, "y": y, "w": panel.width, "h": row.height});
            panels.push(written);
            x += panel.width;
        }
        y += row.height;
    }
    panels
}

fn panel(panel: &Panel) -> Value {
    let (kind, options) = match &panel.kind {
        Kind::Stat => ("stat", stat("auto", "area")),
        Kind::Name => ("stat", stat("name", "none")),
        Kind::Lines => ("timeseries", lines()),
        Kind::Bars => ("bargauge", bars()),
        Kind::Table(table) => ("table", self::table(table)),
    };
    json!({
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source(),
        "transparent": false,
        "pluginVersion": "",
        "targets": panel.queries.iter().enumerate().map(|(n, query)| target(n, query, &panel.kind)).collect::<Vec<_>>(),
        "transformations": transformations(panel),
        "options": options,
        "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(panel)},
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// `A` for the first query.
fn letter(number: usize) -> char {
    char::from(b'A' + u8::try_from(number % 26).unwrap_or(0))
}

fn target(number: usize, query: &Query, kind: &Kind) -> Value {
    let format = if matches!(kind, Kind::Table(_)) { "table" } else { "time_series" };
    json!({
        "refId": letter(number).to_string(),
        "datasource": source(),
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": if query.legend.is_empty() { "__auto" } else { query.legend },
        "format": format,
        "instant": query.instant,
        "range": !query.instant,
    })
}

fn stat(text: &str, graph: &str) -> Value {
    json!({
        "reduceOptions": {"values": false, "calcs": ["lastNotNull"], "fields": ""},
        "orientation": "auto", "textMode": text, "colorMode": "value", "graphMode": graph, "justifyMode": "auto",
        "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
    })
}

fn bars() -> Value {
    json!({
        "reduceOptions": {"values": false, "calcs": ["lastNotNull"], "fields": ""},
        "orientation": "horizontal", "displayMode": "basic", "valueMode": "color", "namePlacement": "auto",
        "sizing": "manual", "showUnfilled": true, "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 48,
        "text": {"titleSize": 14, "valueSize": 18},
        "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
    })
}

fn lines() -> Value {
    json!({
        "legend": {"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": false},
    })
}

fn table(table: &Table) -> Value {
    let sort = match table {
        Table::Columns { sort, .. } => json!([{"displayName": sort, "desc": true}]),
        Table::Matrix { .. } => json!([]),
    };
    json!({
        "showHeader": true, "cellHeight": "sm", "sortBy": sort, "frameIndex": 0,
    })
}

fn transformations(panel: &Panel) -> Value {
    match &panel.kind {
        Kind::Table(Table::Columns { key, name, .. }) => {
            let mut names = Map::from_iter([((*key).to_owned(), json!(name))]);
            let mut order = Map::from_iter([((*key).to_owned(), json!(0))]);
            for (number, query) in panel.queries.iter().enumerate() {
                let field = format!("Value #{}", letter(number));
                names.insert(field.clone(), json!(query.legend));
                order.insert(field, json!(number + 1));
            }
            let organize = json!({
                "excludeByName": {"Time": true}, "includeByName": {}, "indexByName": order, "renameByName": names,
            });
            json!([{"id": "merge", "options": {}}, {"id": "organize", "options": organize}])
        }
        Kind::Table(Table::Matrix { row, column, order }) => {
            let matrix = json!({"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"});
            // the name that the matrix gives to its first column
            let first = format!("{row}\\{column}");
            let order: Map<String, Value> = std::iter::once(first.as_str())
                .chain(order.iter().copied())
                .zip(0..)
                .map(|(name, number)| (name.to_owned(), json!(number)))
                .collect();
            let names = Map::from_iter([(first, json!(title(row)))]);
            let organize =
                json!({"excludeByName": {}, "includeByName": {}, "indexByName": order, "renameByName": names});
            json!([{"id": "groupingToMatrix", "options": matrix}, {"id": "organize", "options": organize}])
        }
        _ => json!([]),
    }
}

/// With a capital letter.
fn title(name: &str) -> String {
    let (initial, rest) = name.split_at(usize::from(!name.is_empty()));
    initial.to_ascii_uppercase() + rest
}

fn defaults(panel: &Panel) -> Value {
    let color =
        if panel.kind == Kind::Lines { json!({"mode": "palette-classic"}) } else { json!({"mode": "thresholds"}) };
    let mut defaults = json!({
        "unit": panel.unit,
        "noValue": panel.empty,
        "color": color,
        "mappings": [],
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps(panel.steps)},
    });
    if let Some(decimals) = panel.decimals {
        defaults["decimals"] = json!(decimals);
    }
    if panel.unit == "percentunit" {
        defaults["max"] = json!(1);
    }
    match panel.kind {
        Kind::Lines => {
            defaults["custom"] = line();
            // or a line of zeros stands on a scale up to a hundred
            if panel.unit != "s" {
                defaults["custom"]["axisSoftMax"] = json!(1);
            }
        }
        Kind::Table(_) => {
            defaults["custom"] =
                json!({"align": "auto", "inspect": false, "filterable": false, "cellOptions": {"type": "auto"}});
        }
        _ => {}
    }
    defaults
}

/// The first step is for everything below the second.
fn steps(steps: &[(f64, Color)]) -> Value {
    let step = |(number, (from, color)): (usize, &(f64, Color))| json!({"value": if number == 0 { Value::Null } else { json!(from) }, "color": color.hex()});
    steps.iter().enumerate().map(step).collect()
}

fn line() -> Value {
    json!({
        "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 0, "gradientMode": "none",
        "showPoints": "never", "pointSize": 5, "spanNulls": false, "insertNulls": false,
        "barAlignment": 0, "barWidthFactor": 0.6, "stacking": {"mode": "none", "group": "A"},
        "axisPlacement": "auto", "axisLabel": "", "axisColorMode": "text", "axisBorderShow": false,
        "axisCenteredZero": false, "scaleDistribution": {"type": "linear"},
        "hideFrom": {"tooltip": false, "viz": false, "legend": false}, "thresholdsStyle": {"mode": "off"},
    })
}

fn overrides(panel: &Panel) -> Vec<Value> {
    let of =
        |name: &str, properties: Value| json!({"matcher": {"id": "byName", "options": name}, "properties": properties});
    let fixed = |(name, color): &(&str, Color)| {
        let mut properties = vec![json!({"id": "color", "value": {"mode": "fixed", "fixedColor": color.hex()}})];
        if matches!(panel.kind, Kind::Table(_)) {
            properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
        }
        of(name, json!(properties))
    };
    let mut overrides: Vec<Value> = panel.colors.iter().map(fixed).collect();
    for query in &panel.queries {
        let Some(unit) = query.unit else { continue };
        overrides.push(of(
            query.legend,
            json!([
                {"id": "unit", "value": unit},
                {"id": "max", "value": 1},
                {"id": "decimals", "value": 0},
                {"id": "thresholds", "value": {"mode": "absolute", "steps": steps(MUCH_IS_GOOD)}},
                {"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}},
            ]),
        ));
    }
    if let Kind::Table(Table::Columns { key, name, link, .. }) = &panel.kind
        && !link.is_empty()
    {
        let url = format!("/d/{link}?var-{key}=${{__value.text}}&${{datasource:queryparam}}&${{cluster:queryparam}}");
        let links = json!([{"title": format!("Open {name}"), "url": url, "targetBlank": false}]);
        overrides.push(of(name, json!([{"id": "links", "value": links}])));
    }
    overrides
}

fn datasource() -> Value {
    json!({
        "type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "regex": "",
        "current": {"text": "", "value": ""}, "options": [], "hide": 0, "includeAll": false, "multi": false, "refresh": 1,
        "skipUrlSync": false,
    })
}

/// A Prometheus of one cluster has no label `cluster`: nothing is offered, and `All` matches its absence, too.
fn cluster() -> Value {
    chosen("cluster", "Cluster", BUILD_INFO.name, true)
}

fn variable(variable: &Variable) -> Value {
    chosen(variable.name, variable.label, &format!("{}{{cluster=~\"$cluster\"}}", variable.metric), variable.many)
}

fn chosen(name: &str, label: &str, series: &str, many: bool) -> Value {
    let query = format!("label_values({series}, {name})");
    let current = if many { json!({"text": "All", "value": "$__all"}) } else { json!({"text": "", "value": ""}) };
    let mut variable = json!({
        "type": "query", "name": name, "label": label, "datasource": source(), "definition": query,
        "query": {"query": query, "refId": format!("{name}Values")}, "regex": "", "sort": 1, "refresh": 2, "hide": 0,
        "multi": many, "includeAll": many, "current": current, "options": [], "skipUrlSync": false,
    });
    if many {
        variable["allValue"] = json!(".*");
    }
    variable
}
