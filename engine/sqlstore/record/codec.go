// Package record turns the entries of the journal into rows, and rows into runs and steps: the
// numbers of statuses, the checks of what can be stored, the JSON and compression of values. It
// executes no SQL and decides nothing about a run.
package record

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Sizes of payloads in bytes.
const (
	compressOver = 512      // shorter values gain nothing
	blobOver     = 32 << 10 // longer values are stored once per run, in blobs
	maxPayload   = 16 << 20 // above every configurable limit; a longer value is refused
)

// A stored payload begins with its tag unless it is plain JSON, which never begins with one.
const (
	tagPlain byte = iota // the rest is the value
	tagBlob              // the rest is the hash of a blob
	tagZstd              // the rest is the compressed value
	tagEnd
)

// Codec turns payloads into column values and back. It is safe for concurrent use.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewCodec returns a codec.
func NewCodec() (*Codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(2*maxPayload))
	if err != nil {
		return nil, err
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// BlobRow is a long value. Other rows refer to it by its hash.
type BlobRow struct {
	Run  runs.ID
	Hash [16]byte
	Data []byte
}

// pack returns the column value of v: nil for nothing, else plain or tagged. A long value
// is appended to blobs. The error is a TooLarge fault naming what.
func (c *Codec) pack(run runs.ID, what string, v []byte, blobs *[]BlobRow) ([]byte, error) {
	switch {
	case len(v) == 0:
		return nil, nil
	case len(v) > maxPayload:
		return nil, fault.New(fault.TooLarge, "%s is %d bytes long; at most %d can be stored", what, len(v), maxPayload)
	case len(v) > blobOver:
		sum := sha256.Sum256(v)
		b := BlobRow{Run: run, Hash: [16]byte(sum[:16]), Data: c.enc.EncodeAll(v, nil)}
		*blobs = append(*blobs, b)
		return append([]byte{tagBlob}, b.Hash[:]...), nil
	case len(v) > compressOver:
		if z := c.enc.EncodeAll(v, append(make([]byte, 0, len(v)/2+64), tagZstd)); len(z) < len(v)-len(v)/8 {
			return z, nil
		}
	}
	if v[0] < tagEnd {
		return append([]byte{tagPlain}, v...), nil
	}
	return v, nil
}

// packJSON packs the JSON of v.
func (c *Codec) packJSON(run runs.ID, what string, v any, blobs *[]BlobRow) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is not JSON", what).Because(err)
	}
	return c.pack(run, what, text, blobs)
}

var errNoBlob = errors.New("a stored value is missing from blobs")

// unpack returns the value of a column; blobs are those of the run by hash.
func (c *Codec) unpack(v []byte, blobs map[[16]byte][]byte) ([]byte, error) {
	if len(v) == 0 {
		return nil, nil
	}
	switch v[0] {
	case tagPlain:
		return v[1:], nil
	case tagZstd:
		return c.decode(v[1:])
	case tagBlob:
		if data, ok := blobs[hashOf(v)]; ok {
			return c.decode(data)
		}
		return nil, errNoBlob
	default:
		return v, nil
	}
}

func (c *Codec) decode(z []byte) ([]byte, error) {
	v, err := c.dec.DecodeAll(z, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress a stored value: %w", err)
	}
	return v, nil
}

// UnpackJSON decodes the JSON of a column into dst, which stays as it is for NULL.
func (c *Codec) UnpackJSON(v []byte, blobs map[[16]byte][]byte, dst any) error {
	text, err := c.unpack(v, blobs)
	if err != nil || text == nil {
		return err
	}
	return json.Unmarshal(text, dst)
}

// IsBlob reports whether a column refers to a blob.
func IsBlob(v []byte) bool { return len(v) > 0 && v[0] == tagBlob }

// hashOf returns the hash in a reference to a blob.
func hashOf(v []byte) (hash [16]byte) {
	copy(hash[:], v[1:])
	return hash
}
