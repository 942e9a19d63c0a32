package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

const policy = "package authz\n\nallow := true\n"

// plain is a bundle with a file of each kind.
var plain = map[string]string{
	".manifest":        `{"revision": "r1", "roots": ["authz", "grants"], "metadata": {"by": "<us & them>", "n": 1.0}}`,
	"authz.rego":       policy,
	"grants/data.json": `{"editor": true, "limits": [1, 2.50, {"b": null, "a": ""}]}`,
	"README.md":        "not policy",
}

// odd are data files that are hard to hash alike.
var odd = map[string]string{
	"texts/data.json": "{\"html\": \"<a href='x'>&amp;</a>\", \"separators\": \"\u2028\u2029\", " +
		`"escapes": "\u0000\u0001\b\f\n\r\t\u001f\u007f\"\\\/", "escaped separators": "\u2028 \u2029", ` +
		"\"pair\": \"\\ud83d\\ude00\", \"plain\": \"\U0001F600 \u00e9\u00df\u4e2d\", \"\u00e9\": 1, \"\\u00e8\": 2, " +
		`"A": 3, "a": 4, "": 5, "a/b": 6, "\ud83d\ude00": 7, "\uffee": 8}`,
	"numbers/data.json": `{"n": [0, -0, 1.0, 1E2, 1e400, 1.50e-7, 123456789012345678901234567890, 0.1, -1.0E+05,
		1e-400, 9007199254740993, 0e0, 1.0000000000000000000000001]}`,
	"nested/deep/data.json": strings.Repeat(`{"a":[`, 40) + `{}, [], {"x": [] }` + strings.Repeat("]}", 40),
	"spaces/data.json":      " {\n\t\"b\" : [ 1 , 2 ] ,\r\n \"a\" : { } } \n",
	"yaml/data.yaml":        "b: [1, 2.5, true, null]\na:\n  text: 'yes <&>'\n  more: \"\u2028\"\n  empty: {}\nlarge: 1e21\nsmall: 0.0000001\nwhole: 3.0\nhalf: -0.5\nint: 123456789012345678\n",
	"yml/data.yml":          "z: 1\na:\n- x\n- y: ~\n",
	"json/data.yaml":        `{"z": 1.0, "a": "<&>"}`,
	"other/notes.yaml":      "only: bytes # and a comment",
	"other/values.json":     "{ \"only\" :  \"bytes\" }",
	"signatures.json":       "{\"not\": \"a signature\"}",
}

type claims map[string]any

// signing says how a bundle is signed.
type signing struct {
	key     key
	id      string
	digests string
	claims  claims
	// change alters what is signed.
	change func([]bundle.FileInfo) []bundle.FileInfo
}

// token is what `opa sign` makes of the files.
func (s signing) token(files map[string]string) string {
	digests := s.digests
	if digests == "" {
		digests = "SHA-256"
	}
	hasher := must(bundle.NewSignatureHasher(bundle.HashingAlgorithm(digests)))
	infos := []bundle.FileInfo{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if bundle.IsSignaturesFile(path) {
			continue
		}
		var value any = []byte(files[path])
		if bundle.IsStructuredDoc(path) {
			if err := util.Unmarshal([]byte(files[path]), &value); err != nil {
				log.Fatalf("%s: %v", path, err)
			}
		}
		infos = append(infos, bundle.NewFile(path, hex.EncodeToString(must(hasher.HashFile(value))), digests))
	}
	if s.change != nil {
		infos = s.change(infos)
	}
	claimsPath := ""
	if s.claims != nil {
		claimsPath = filepath.Join(must(os.MkdirTemp("", "signatures")), "claims.json")
		if err := os.WriteFile(claimsPath, must(json.Marshal(s.claims)), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	config := bundle.NewSigningConfig(s.key.Private[0], s.key.Algorithm, claimsPath)
	return must(bundle.GenerateSignedToken(infos, config, s.id))
}

func (s signing) signed(files map[string]string) map[string]string {
	return with(files, ".signatures.json", signatureFile(s.token(files)))
}

func signatureFile(tokens ...string) string {
	return string(must(json.Marshal(map[string]any{"signatures": tokens})))
}

func with(files map[string]string, path, content string) map[string]string {
	changed := maps.Clone(files)
	changed[path] = content
	return changed
}

func without(files map[string]string, path string) map[string]string {
	changed := maps.Clone(files)
	delete(changed, path)
	return changed
}

func encoded(text string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func trials(known map[string]key) []trial {
	public := func(names ...string) map[string]key {
		keys := map[string]key{}
		for _, name := range names {
			k := known[name]
			k.Private = nil
			keys[name] = k
		}
		return keys
	}
	rs256 := known["RS256"]
	one := public("RS256")
	all := []trial{}
	add := func(name string, files map[string]string, keys map[string]key, keyID, scope string) {
		all = append(all, trial{Name: name, Files: files, Keys: keys, KeyID: keyID, Scope: scope})
	}
	for _, algorithm := range algorithms {
		signer := signing{key: known[algorithm]}
		add(algorithm, signer.signed(plain), public(algorithm), algorithm, "")
		signer.id = algorithm
		add(algorithm+", named by the signature", signer.signed(plain), public(algorithms...), "", "")
	}
	signer := signing{key: rs256}
	good := signer.signed(plain)
	add("a key in PKCS 1", good, public("RS256 in PKCS 1"), "RS256 in PKCS 1", "")
	add("a key in a certificate", good, public("RS256 in a certificate"), "RS256 in a certificate", "")
	for _, path := range slices.Sorted(maps.Keys(odd)) {
		files := map[string]string{"authz.rego": policy, path: odd[path]}
		add("odd: "+path, signer.signed(files), one, "RS256", "")
	}
	for _, digests := range []string{"SHA-224", "SHA-384", "SHA-512", "SHA-512-224", "SHA-512-256"} {
		add("digests by "+digests, signing{key: rs256, digests: digests}.signed(plain), one, "RS256", "")
	}
	for _, digests := range []string{"MD5", "SHA-1"} {
		add("digests by "+digests, signing{key: rs256, digests: digests}.signed(plain), one, "RS256", "")
		all[len(all)-1].Stricter = "the digest is broken"
	}
	changedInfo := func(change func(*bundle.FileInfo)) signing {
		return signing{key: rs256, change: func(infos []bundle.FileInfo) []bundle.FileInfo {
			change(&infos[1])
			return infos
		}}
	}
	add("no digest's algorithm", changedInfo(func(f *bundle.FileInfo) { f.Algorithm = "" }).signed(plain), one, "RS256", "")
	add("an unknown digest", changedInfo(func(f *bundle.FileInfo) { f.Algorithm = "SHA-3" }).signed(plain), one, "RS256", "")
	add("a digest in capitals", changedInfo(func(f *bundle.FileInfo) { f.Hash = strings.ToUpper(f.Hash) }).signed(plain), one, "RS256", "")
	add("half a digest", changedInfo(func(f *bundle.FileInfo) { f.Hash = f.Hash[:32] }).signed(plain), one, "RS256", "")
	add("no digest", changedInfo(func(f *bundle.FileInfo) { f.Hash = "" }).signed(plain), one, "RS256", "")
	add("a file listed twice", signing{key: rs256, change: func(infos []bundle.FileInfo) []bundle.FileInfo {
		return append(infos, infos[1])
	}}.signed(plain), one, "RS256", "")
	all[len(all)-1].Stricter = "a file is listed twice"

	// Keys.
	add("no key", good, nil, "", "")
	add("another key", good, public("other RS256"), "other RS256", "")
	add("the key's other algorithm", good, public("RS384"), "RS384", "")
	add("PSS for PKCS 1", good, public("PS256"), "PS256", "")
	add("nameless", good, one, "", "")
	named := signing{key: rs256, id: "RS256"}
	add("named by another name", named.signed(plain), public("ES256", "HS256"), "", "")
	add("a name that the configuration overrides", signing{key: rs256, id: "x"}.signed(plain), one, "RS256", "")
	add("named by a claim", signing{key: rs256, claims: claims{"keyid": "RS256"}}.signed(plain), one, "", "")
	add("claimed by an unknown name", signing{key: rs256, claims: claims{"keyid": "x"}}.signed(plain), one, "", "")
	add("the header's name before the claim's",
		signing{key: rs256, id: "RS256", claims: claims{"keyid": "ES256"}}.signed(plain), public("RS256", "ES256"), "", "")

	// Scopes.
	write := signing{key: rs256, claims: claims{"scope": "write", "iss": "tests", "iat": 1700000000}}
	scoped := func(scope string) map[string]key {
		k := one["RS256"]
		k.Scope = scope
		return map[string]key{"RS256": k}
	}
	add("a scope", write.signed(plain), one, "RS256", "write")
	add("a scope of the key", write.signed(plain), scoped("write"), "RS256", "")
	add("a scope that wins over the key's", write.signed(plain), scoped("read"), "RS256", "write")
	add("a scope that loses to the bundle's", write.signed(plain), scoped("write"), "RS256", "read")
	add("a scope that is not asked for", write.signed(plain), one, "RS256", "")
	add("a scope that is not there", good, one, "RS256", "write")
	add("another scope", write.signed(plain), one, "RS256", "Write")

	// Forgeries.
	parts := strings.Split(signer.token(plain), ".")
	add("an HMAC by the public key", with(plain, ".signatures.json",
		signatureFile(hmacToken(rs256.Key, parts[1]))), one, "RS256", "")
	add("no algorithm", with(plain, ".signatures.json",
		signatureFile(encoded(`{"alg":"none"}`)+"."+parts[1]+".")), one, "RS256", "")
	add("another header", with(plain, ".signatures.json",
		signatureFile(encoded(`{"alg":"ES256"}`)+"."+parts[1]+"."+parts[2])), one, "RS256", "")
	add("another payload", with(plain, ".signatures.json",
		signatureFile(parts[0]+"."+encoded(`{"files":[]}`)+"."+parts[2])), one, "RS256", "")
	add("half a signature", with(plain, ".signatures.json",
		signatureFile(parts[0]+"."+parts[1]+"."+parts[2][:40])), one, "RS256", "")
	add("two parts", with(plain, ".signatures.json", signatureFile(parts[0]+"."+parts[1])), one, "RS256", "")
	add("four parts", with(plain, ".signatures.json",
		signatureFile(strings.Join(parts, ".")+".x")), one, "RS256", "")

	// The file.
	token := strings.Join(parts, ".")
	add("two signatures", with(plain, ".signatures.json", signatureFile(token, token)), one, "RS256", "")
	add("no signature", with(plain, ".signatures.json", `{"signatures": []}`), one, "RS256", "")
	add("an empty file of signatures", with(plain, ".signatures.json", "{}"), one, "RS256", "")
	add("an empty file of signatures, and no key", with(plain, ".signatures.json", "{}"), nil, "", "")
	add("no file of signatures", plain, one, "RS256", "")
	add("no file of signatures, and no key", plain, nil, "", "")
	add("OPA's plugin", with(plain, ".signatures.json",
		`{"signatures": ["`+token+`"], "plugin": "_default"}`), one, "RS256", "")
	add("another plugin", with(plain, ".signatures.json",
		`{"signatures": ["`+token+`"], "plugin": "x"}`), one, "RS256", "")
	add("a file of signatures in a folder", with(plain, "folder/.signatures.json", signatureFile(token)), one, "RS256", "")
	add("two files of signatures", with(good, "folder/.signatures.json", signatureFile(token)), one, "RS256", "")
	add("no JSON", with(plain, ".signatures.json", "x"), one, "RS256", "")

	// Files.
	add("a changed module", with(good, "authz.rego", policy+"# more\n"), one, "RS256", "")
	add("a changed note", with(good, "README.md", "policy"), one, "RS256", "")
	add("changed data", with(good, "grants/data.json",
		`{"editor": false, "limits": [1, 2.50, {"b": null, "a": ""}]}`), one, "RS256", "")
	add("data of another number", with(good, "grants/data.json",
		`{"editor": true, "limits": [1, 2.5, {"b": null, "a": ""}]}`), one, "RS256", "")
	add("data in another layout", with(good, "grants/data.json",
		"{\"limits\":[1,2.50,{\"a\":\"\",\n\"b\":null}], \"edit\\u006fr\": true}"), one, "RS256", "")
	add("a changed manifest", with(good, ".manifest", strings.Replace(plain[".manifest"], "r1", "r2", 1)), one, "RS256", "")
	add("one file more", with(good, "more.rego", "package authz.more\n"), one, "RS256", "")
	add("one note more", with(good, "more.md", "x"), one, "RS256", "")
	add("one file less", without(good, "README.md"), one, "RS256", "")
	moved := with(without(good, "README.md"), "README", plain["README.md"])
	add("a file of another name", moved, one, "RS256", "")
	add("a key that stands twice", with(good, "grants/data.json",
		`{"editor": false, "editor": true, "limits": [1, 2.50, {"b": null, "a": ""}]}`), one, "RS256", "")
	all[len(all)-1].Stricter = "readers differ about which of the two counts"

	written := built(rs256)
	add("made by OPA's own writer", written, one, "", "")
	add("made by OPA's own writer, and changed", with(written, "/data.json", "{}"), one, "", "")
	return all
}
