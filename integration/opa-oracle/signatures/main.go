// Command signatures makes bundles that a real OPA signs, and says what a real OPA thinks of signed bundles.
//
// `signatures record` writes bundles, keys and OPA's verdicts as one JSON document: the vectors that our own verification
// is tested with. `signatures verify` reads questions as JSON lines and answers each with a line: OPA's error, or nothing.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/version"
)

// key is one that bundles are verified with, and what signs for it.
type key struct {
	Algorithm string `json:"algorithm"`
	Key       string `json:"key"`
	Scope     string `json:"scope,omitempty"`
	// Private has the private key in each form that OPA reads; for a secret, the secret.
	Private []string `json:"private,omitempty"`
}

// trial is a bundle and how it is to be verified. Without keys nothing is configured.
type trial struct {
	Name  string            `json:"name,omitempty"`
	Files map[string]string `json:"files,omitempty"`
	// Bundle is a tarball, in place of the files.
	Bundle []byte         `json:"bundle,omitempty"`
	Keys   map[string]key `json:"keys,omitempty"`
	KeyID  string         `json:"keyid,omitempty"`
	Scope  string         `json:"scope,omitempty"`
	// Refused is OPA's reason.
	Refused string `json:"refused,omitempty"`
	// Stricter is why our own verification refuses what OPA takes.
	Stricter string `json:"stricter,omitempty"`
}

func main() {
	switch {
	case slices.Equal(os.Args[1:], []string{"record"}):
		record()
	case slices.Equal(os.Args[1:], []string{"verify"}):
		answer()
	default:
		log.Fatal("usage: signatures record | signatures verify")
	}
}

func record() {
	made := known()
	trials := trials(made)
	for i := range trials {
		trials[i].Refused = trials[i].verdict()
		if accepted := trials[i].Refused == ""; trials[i].Stricter != "" && !accepted {
			log.Fatalf("OPA is as strict: %s: %s", trials[i].Name, trials[i].Refused)
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	document := map[string]any{
		"about":  "Made by `signatures record` in integration/opa-oracle. The keys were made for these tests alone.",
		"opa":    version.Version,
		"keys":   made,
		"trials": trials,
	}
	if err := out.Encode(document); err != nil {
		log.Fatal(err)
	}
}

func answer() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<27)
	for lines.Scan() {
		var asked trial
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatalf("a question is not readable: %v", err)
		}
		fmt.Fprintf(out, "%q\n", asked.verdict())
	}
	if err := lines.Err(); err != nil {
		log.Fatalf("stdin ended early: %v", err)
	}
}

// verdict is why OPA does not take the bundle, or nothing.
func (t *trial) verdict() string {
	archive := t.Bundle
	if archive == nil {
		archive = packed(t.Files)
	}
	loader := bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(archive), "")
	reader := bundle.NewCustomReader(loader)
	if t.Keys != nil {
		configs := map[string]*keys.Config{}
		for id, k := range t.Keys {
			configs[id] = &keys.Config{Key: k.Key, Algorithm: k.Algorithm, Scope: k.Scope}
		}
		reader = reader.WithBundleVerificationConfig(bundle.NewVerificationConfig(configs, t.KeyID, t.Scope, nil))
	}
	if _, err := reader.Read(); err != nil {
		return err.Error()
	}
	return ""
}

func packed(files map[string]string) []byte {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		header := &tar.Header{Name: path, Mode: 0o644, Size: int64(len(files[path])), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			log.Fatal(err)
		}
		if _, err := archive.Write([]byte(files[path])); err != nil {
			log.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		log.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		log.Fatal(err)
	}
	return out.Bytes()
}
