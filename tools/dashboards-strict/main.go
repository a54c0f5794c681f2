// Command dashboards-strict reads dashboards as strictly as Grafana's Foundation SDK does, and each of their queries as Prometheus
// does: a field that Grafana does not know, or a query that is none, is an error.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
)

// What somebody may have chosen at the top of a dashboard.
var chosen = strings.NewReplacer("$__rate_interval", "1m", "$__interval", "1m", "$__range", "1h", "$cluster", "c", "$path", "p", "$team", "t")

func main() {
	plugins.RegisterDefaultPlugins()
	failed := false
	for _, file := range os.Args[1:] {
		queries, err := check(file)
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			continue
		}
		fmt.Printf("%s: read strictly, %d queries parsed\n", file, queries)
	}
	if failed {
		os.Exit(1)
	}
}

func check(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var strict dashboard.Dashboard
	if err := strict.UnmarshalJSONStrict(text); err != nil {
		return 0, err
	}
	var plain struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &plain); err != nil {
		return 0, err
	}
	queries, promql := 0, parser.NewParser(parser.Options{})
	for _, panel := range plain.Panels {
		for _, target := range panel.Targets {
			if _, err := promql.ParseExpr(chosen.Replace(target.Expr)); err != nil {
				return 0, fmt.Errorf("panel %s: %w", panel.Title, err)
			}
			queries++
		}
	}
	return queries, nil
}
