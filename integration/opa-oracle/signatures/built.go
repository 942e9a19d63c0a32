package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// built is a bundle as `opa build` signs and writes it.
func built(signer key) map[string]string {
	loader := bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(packed(plain)), "")
	made := must(bundle.NewCustomReader(loader).Read())
	if err := made.FormatModules(false); err != nil {
		log.Fatal(err)
	}
	config := bundle.NewSigningConfig(signer.Private[0], signer.Algorithm, "")
	if err := made.GenerateSignature(config, "RS256", false); err != nil {
		log.Fatal(err)
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).DisableFormat(true).Write(made); err != nil {
		log.Fatal(err)
	}
	return unpacked(out.Bytes())
}

func unpacked(archive []byte) map[string]string {
	files := map[string]string{}
	entries := tar.NewReader(must(gzip.NewReader(bytes.NewReader(archive))))
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			log.Fatal(err)
		}
		files[entry.Name] = string(must(io.ReadAll(entries)))
	}
}

// hmacToken is what a forger makes who knows no more than a public key.
func hmacToken(secret, payload string) string {
	message := encoded(`{"alg":"HS256"}`) + "." + payload
	code := hmac.New(sha256.New, []byte(secret))
	code.Write([]byte(message))
	return message + "." + base64.RawURLEncoding.EncodeToString(code.Sum(nil))
}
