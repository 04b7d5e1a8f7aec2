package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// What can be wrong with what a storage returns.
var (
	// ErrDamaged is state that is not what was written, or a part of it is missing.
	ErrDamaged = errors.New("damaged state")
	// ErrForeign is state that something else wrote, or that belongs to another checkpoint.
	ErrForeign = errors.New("foreign state")
	// ErrNewerVersion is state in a format that this program does not know yet.
	ErrNewerVersion = errors.New("state of a newer version")
)

// Every value in the storage is one record. Its envelope is the same in all
// versions of the format, so that what is newer can be told from what is damaged:
//
//	magic        4 bytes  "PHXS"
//	version      1 byte
//	kind         1 byte   head, part or journal
//	generation   8 bytes  of the checkpoint, little endian like all that follows
//	sequence     4 bytes  which of its kind in the checkpoint, from 0
//	payload
//	checksum     8 bytes  XXH64 over all before
const (
	magic      = "PHXS"
	version    = 1
	headerSize = len(magic) + 1 + 1 + 8 + 4
	sumSize    = 8
	// targetSize is where a record ends and the next one begins. An entry is
	// never split.
	targetSize = 1 << 20
)

type recordKind uint8

const (
	headRecord recordKind = 1 + iota
	partRecord
	journalRecord
)

var recordNames = [...]string{headRecord: "head", partRecord: "part", journalRecord: "journal"}

func (k recordKind) String() string {
	if int(k) < len(recordNames) && recordNames[k] != "" {
		return recordNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// header says what a record is.
type header struct {
	kind       recordKind
	generation uint64
	sequence   uint32
}

func (h header) String() string {
	if h.kind == headRecord {
		return fmt.Sprintf("the head of generation %d", h.generation)
	}
	return fmt.Sprintf("%s %d of generation %d", h.kind, h.sequence, h.generation)
}

// seal copies a buffer, which has room for the header in front of the payload,
// to a record. It returns its checksum too.
func seal(buffer []byte, h header) (record []byte, sum uint64) {
	record = append(make([]byte, 0, len(buffer)+sumSize), buffer...)
	copy(record, magic)
	at := len(magic)
	record[at], record[at+1] = version, byte(h.kind)
	binary.LittleEndian.PutUint64(record[at+2:], h.generation)
	binary.LittleEndian.PutUint32(record[at+10:], h.sequence)
	sum = xxhash.Sum64(record)
	return binary.LittleEndian.AppendUint64(record, sum), sum
}

// open takes a record out of its envelope.
func open(record []byte) (h header, payload []byte, sum uint64, err error) {
	switch {
	case len(record) < headerSize+sumSize:
		return h, nil, 0, fmt.Errorf("%w: %d bytes are no record", ErrDamaged, len(record))
	case string(record[:len(magic)]) != magic:
		return h, nil, 0, fmt.Errorf("%w: it begins with %q, not %q", ErrForeign, record[:len(magic)], magic)
	}
	end := len(record) - sumSize
	sum = binary.LittleEndian.Uint64(record[end:])
	if xxhash.Sum64(record[:end]) != sum {
		return h, nil, 0, fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	at := len(magic)
	if v := record[at]; v > version {
		return h, nil, 0, fmt.Errorf("%w: version %d, this program knows up to %d", ErrNewerVersion, v, version)
	} else if v == 0 {
		return h, nil, 0, fmt.Errorf("%w: there is no version 0", ErrDamaged)
	}
	h = header{
		kind:       recordKind(record[at+1]),
		generation: binary.LittleEndian.Uint64(record[at+2:]),
		sequence:   binary.LittleEndian.Uint32(record[at+10:]),
	}
	return h, record[headerSize:end], sum, nil
}

// openAs opens a record that has to be the one that want describes.
func openAs(record []byte, want header) (payload []byte, sum uint64, err error) {
	h, payload, sum, err := open(record)
	if err == nil && h != want {
		err = fmt.Errorf("%w: it is %s, not %s", ErrForeign, h, want)
	}
	return payload, sum, err
}
