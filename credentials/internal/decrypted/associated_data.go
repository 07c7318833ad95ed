package decrypted

import (
	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
)

// FieldData is where a secret field of a version is stored; field may be filled in later.
func FieldData(id credentials.ID, version int, field string) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "field", ID: string(id), Version: int64(version), Field: field}
}

// CandidateData is where the fields of the candidate are stored.
func CandidateData(id credentials.ID) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "candidate", ID: string(id)}
}

// fingerprintKeyData is where the key of the fingerprints is stored, one per credential.
func fingerprintKeyData(id credentials.ID) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "fingerprint_key", ID: string(id)}
}

// recordData is where the binding of a record is stored.
func recordData(r *credentials.Record) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "record", ID: string(r.ID), Version: r.Revision}
}

// versionData is where the binding of a version is stored.
func versionData(id credentials.ID, number int) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "version", ID: string(id), Version: int64(number)}
}

// tokenData is where tokens of one generation are stored.
func tokenData(id credentials.ID, generation int64) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "token", ID: string(id), Version: generation}
}

// connectData is where a connect under way is stored.
func connectData(id credentials.ID) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "connect", ID: string(id)}
}

// outputData is where the output of a sensitive node stands.
func outputData(run, node string, index int) sealing.AssociatedData {
	return sealing.AssociatedData{Kind: "output", ID: run, Version: int64(index), Field: node}
}

// SealTokenText seals the token state of one generation.
func (s *Sealer) SealTokenText(id credentials.ID, generation int64, text []byte) ([]byte, error) {
	return s.keys.Seal(tokenData(id, generation), text)
}

// OpenTokenText opens what sealTokenText made for the same generation.
func (s *Sealer) OpenTokenText(id credentials.ID, generation int64, sealed []byte) ([]byte, error) {
	return s.keys.Open(tokenData(id, generation), sealed)
}

// SealConnect seals what the end of a connect needs of its beginning.
func (s *Sealer) SealConnect(id credentials.ID, text []byte) ([]byte, error) {
	return s.keys.Seal(connectData(id), text)
}

// OpenConnect opens what sealConnect made.
func (s *Sealer) OpenConnect(id credentials.ID, sealed []byte) ([]byte, error) {
	return s.keys.Open(connectData(id), sealed)
}

// SealOutput seals the output of a step, for that step alone.
func (s *Sealer) SealOutput(run, node string, index int, output []byte) ([]byte, error) {
	return s.keys.Seal(outputData(run, node, index), output)
}

// OpenOutput opens what sealOutput made for the same step.
func (s *Sealer) OpenOutput(run, node string, index int, sealed []byte) ([]byte, error) {
	return s.keys.Open(outputData(run, node, index), sealed)
}
