package vault

import (
	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
)

// fieldPlace is where a secret field of a version is stored; field may be filled in later.
func fieldPlace(id credentials.ID, version int, field string) sealing.Place {
	return sealing.Place{Kind: "field", ID: string(id), Version: int64(version), Field: field}
}

// candidatePlace is where the fields of the candidate are stored.
func candidatePlace(id credentials.ID) sealing.Place {
	return sealing.Place{Kind: "candidate", ID: string(id)}
}

// fingerprintKeyPlace is where the key of the fingerprints is stored, one per credential.
func fingerprintKeyPlace(id credentials.ID) sealing.Place {
	return sealing.Place{Kind: "fingerprint_key", ID: string(id)}
}

// recordPlace is where the binding of a record is stored.
func recordPlace(r *credentials.Record) sealing.Place {
	return sealing.Place{Kind: "record", ID: string(r.ID), Version: r.Revision}
}

// versionPlace is where the binding of a version is stored.
func versionPlace(id credentials.ID, number int) sealing.Place {
	return sealing.Place{Kind: "version", ID: string(id), Version: int64(number)}
}

// tokenPlace is where tokens of one generation are stored.
func tokenPlace(id credentials.ID, generation int64) sealing.Place {
	return sealing.Place{Kind: "token", ID: string(id), Version: generation}
}

// connectPlace is where a connect under way is stored.
func connectPlace(id credentials.ID) sealing.Place {
	return sealing.Place{Kind: "connect", ID: string(id)}
}

// outputPlace is where the output of a sensitive node stands.
func outputPlace(run, node string, index int) sealing.Place {
	return sealing.Place{Kind: "output", ID: run, Version: int64(index), Field: node}
}

// sealTokenText seals the token state of one generation.
func (s *Sealer) sealTokenText(id credentials.ID, generation int64, text []byte) ([]byte, error) {
	return s.keys.Seal(tokenPlace(id, generation), text)
}

// openTokenText opens what sealTokenText made for the same generation.
func (s *Sealer) openTokenText(id credentials.ID, generation int64, sealed []byte) ([]byte, error) {
	return s.keys.Open(tokenPlace(id, generation), sealed)
}

// sealConnect seals what the end of a connect needs of its beginning.
func (s *Sealer) sealConnect(id credentials.ID, text []byte) ([]byte, error) {
	return s.keys.Seal(connectPlace(id), text)
}

// openConnect opens what sealConnect made.
func (s *Sealer) openConnect(id credentials.ID, sealed []byte) ([]byte, error) {
	return s.keys.Open(connectPlace(id), sealed)
}

// sealOutput seals the output of a step, for that step alone.
func (s *Sealer) sealOutput(run, node string, index int, output []byte) ([]byte, error) {
	return s.keys.Seal(outputPlace(run, node, index), output)
}

// openOutput opens what sealOutput made for the same step.
func (s *Sealer) openOutput(run, node string, index int, sealed []byte) ([]byte, error) {
	return s.keys.Open(outputPlace(run, node, index), sealed)
}
