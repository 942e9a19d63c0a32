// Command downloads is a real OPA that gets its policy from a bundle server.
//
//	downloads URL RESOURCE
//
// It waits until the bundle is active, and then answers every JSON input on stdin with the decision at
// hexr/authz/allow, a line each.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/open-policy-agent/opa/v1/sdk"
)

// patience is how long the first bundle may take.
const patience = 20 * time.Second

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: downloads URL RESOURCE")
	}
	polling := map[string]any{
		"min_delay_seconds": 1, "max_delay_seconds": 2, "long_polling_timeout_seconds": 10,
	}
	config, err := json.Marshal(map[string]any{
		"services": map[string]any{"server": map[string]any{"url": os.Args[1]}},
		"bundles": map[string]any{
			"authz": map[string]any{"service": "server", "resource": os.Args[2], "polling": polling},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	starting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	opa, err := sdk.New(starting, sdk.Options{Config: bytes.NewReader(config)})
	if err != nil {
		log.Fatal(err)
	}
	defer opa.Stop(ctx)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var input any
		if err := json.Unmarshal(lines.Bytes(), &input); err != nil {
			log.Fatal(err)
		}
		decision, err := opa.Decision(ctx, sdk.DecisionOptions{Path: "hexr/authz/allow", Input: input})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(decision.Result)
	}
}
