package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"time"
)

// algorithms are those of OPA's keys.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512",
}

// known makes a key for each algorithm, named like it, and a few that are odd.
func known() map[string]key {
	made := map[string]key{}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	for _, algorithm := range algorithms {
		switch algorithm {
		case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
			made[algorithm] = ofRSA(algorithm, rsaKey)
		case "ES256":
			made[algorithm] = ofCurve(algorithm, elliptic.P256())
		case "ES384":
			made[algorithm] = ofCurve(algorithm, elliptic.P384())
		case "ES512":
			made[algorithm] = ofCurve(algorithm, elliptic.P521())
		default:
			secret := "a secret of the tests, and long enough for " + algorithm + " with its 64 bytes"
			made[algorithm] = key{Algorithm: algorithm, Key: secret, Private: []string{secret}}
		}
	}
	made["other RS256"] = ofRSA("RS256", must(rsa.GenerateKey(rand.Reader, 2048)))
	pkcs1 := made["RS256"]
	pkcs1.Key = block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))
	made["RS256 in PKCS 1"] = pkcs1
	certificate := made["RS256"]
	certificate.Key = certified(rsaKey)
	made["RS256 in a certificate"] = certificate
	return made
}

func ofRSA(algorithm string, private *rsa.PrivateKey) key {
	return key{
		Algorithm: algorithm,
		Key:       block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&private.PublicKey))),
		Private: []string{
			block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private))),
			block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private)),
		},
	}
}

func ofCurve(algorithm string, curve elliptic.Curve) key {
	private := must(ecdsa.GenerateKey(curve, rand.Reader))
	return key{
		Algorithm: algorithm,
		Key:       block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&private.PublicKey))),
		Private: []string{
			block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private))),
			block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(private))),
		},
	}
}

func certified(private *rsa.PrivateKey) string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "bundles"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1<<32, 0),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private))
	return block("CERTIFICATE", der)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
