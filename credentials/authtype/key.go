package authtype

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minRSABits = 2048 // RFC 7518 section 3.3
	minHMAC    = 32   // bytes of a shared secret, RFC 7518 section 3.2
)

// signJWT signs claims. Empty header values are left out.
func signJWT(algorithm, key string, header map[string]any, claims jwt.MapClaims) (string, error) {
	signer, err := signingKey(algorithm, key)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims)
	for name, value := range header {
		if value != "" {
			token.Header[name] = value
		}
	}
	return token.SignedString(signer)
}

// signingKey reads what signs with an algorithm. Its errors hold nothing of the key.
func signingKey(algorithm, text string) (any, error) {
	switch algorithm {
	case "HS256":
		if len(text) < minHMAC {
			return nil, fmt.Errorf("is shorter than %d bytes, which HS256 needs (RFC 7518 section 3.2)", minHMAC)
		}
		return []byte(text), nil
	case "ES256":
		key, err := jwt.ParseECPrivateKeyFromPEM([]byte(text))
		if err != nil {
			return nil, errors.New("is not an EC private key in PEM form without pass phrase")
		}
		return key, fitsES256(&key.PublicKey)
	default: // RS256, PS256
		key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(text))
		if err != nil {
			return nil, errors.New("is not an RSA private key in PEM form without pass phrase")
		}
		return key, fitsRSA(&key.PublicKey)
	}
}

// verifyingKey reads what verifies: a public key, a certificate or a private key in PEM form,
// or the shared secret of HS256.
func verifyingKey(algorithm, text string) (any, error) {
	if algorithm == "HS256" {
		return signingKey(algorithm, text)
	}
	if strings.Contains(text, "PRIVATE KEY") {
		key, err := signingKey(algorithm, text)
		if err != nil {
			return nil, err
		}
		return key.(crypto.Signer).Public(), nil
	}
	if algorithm == "ES256" {
		key, err := jwt.ParseECPublicKeyFromPEM([]byte(text))
		if err != nil {
			return nil, errors.New("is not an EC public key in PEM form")
		}
		return key, fitsES256(key)
	}
	key, err := jwt.ParseRSAPublicKeyFromPEM([]byte(text))
	if err != nil {
		return nil, errors.New("is not an RSA public key in PEM form")
	}
	return key, fitsRSA(key)
}

func fitsES256(key *ecdsa.PublicKey) error {
	if key.Curve != elliptic.P256() {
		return errors.New("is not a key of the curve P-256, which ES256 needs")
	}
	return nil
}

func fitsRSA(key *rsa.PublicKey) error {
	if key.N.BitLen() < minRSABits {
		return fmt.Errorf("is shorter than %d bits (RFC 7518 section 3.3)", minRSABits)
	}
	return nil
}
