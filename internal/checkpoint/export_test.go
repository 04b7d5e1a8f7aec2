package checkpoint

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// HeaderSize and SumSize are what is around a payload.
const (
	HeaderSize = headerSize
	SumSize    = sumSize
)

// ForgePart, ForgeJournal and ForgeHead are sound records around any payload.
func ForgePart(payload []byte, generation uint64, i int) []byte {
	return forge(payload, header{partRecord, generation, uint32(i)})
}

func ForgeJournal(payload []byte, generation uint64, i int) []byte {
	return forge(payload, header{journalRecord, generation, uint32(i)})
}

func ForgeHead(payload []byte, generation uint64) []byte {
	return forge(payload, header{kind: headRecord, generation: generation})
}

func forge(payload []byte, h header) []byte {
	record, _ := seal(append(make([]byte, headerSize), payload...), h)
	return record
}

// ForgeVersion is a sound record of another version.
func ForgeVersion(record []byte, version byte) []byte {
	r := append([]byte(nil), record[:len(record)-sumSize]...)
	r[len(magic)] = version
	return binary.LittleEndian.AppendUint64(r, xxhash.Sum64(r))
}

// HeadOf is a head that names these part records, all of one generation.
func HeadOf(generation uint64, id Identity, parts ...[]byte) []byte {
	h := head{generation: generation, identity: id}
	for _, p := range parts {
		h.parts = append(h.parts, Sum(p))
	}
	return h.encode()
}

// Sum is the checksum of a record.
func Sum(record []byte) uint64 { return binary.LittleEndian.Uint64(record[len(record)-sumSize:]) }
