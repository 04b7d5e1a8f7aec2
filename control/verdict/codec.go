package verdict

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/stats"
)

// storedVersion is that of the form in which judges are stored.
const storedVersion = 1

// preface comes first. The counts say what follows.
type preface struct {
	Version      uint16
	Mode, Tracks uint8
	Rails, Units uint32
}

// unitSize is what a unit takes.
const unitSize = 8 + 2*4*measureCount + 2*4 + 1

var errStored = errors.New("it is not what was stored for this specification")

// Encode returns the form in which the judge is stored: less than 8 KiB, and 41 bytes
// for each unit, of which there are at most 4,096.
func (j *Judge) Encode() ([]byte, error) {
	fixed := j.fixed()
	size := len(j.units) * unitSize
	for _, part := range fixed {
		size += binary.Size(part)
	}
	data := make([]byte, 0, size)
	for _, part := range fixed {
		var err error
		if data, err = binary.Append(data, binary.LittleEndian, part); err != nil {
			return nil, fmt.Errorf("encode the evidence of an experiment: %w", err)
		}
	}
	for i := range j.units {
		data = j.units[i].encode(data)
	}
	return data, nil
}

// fixed are the parts whose number and size follow from the specification.
func (j *Judge) fixed() []any {
	parts := []any{j.preface(), &j.head}
	for i := range j.tracks {
		if j.wanted[i] {
			parts = append(parts, &j.tracks[i])
		}
	}
	for i := range j.rails {
		if j.rails[i].counts() {
			parts = append(parts, &j.rails[i].failures)
		}
	}
	return parts
}

func (j *Judge) preface() *preface {
	p := preface{Version: storedVersion, Units: uint32(len(j.units))} //nolint:gosec // at most maxUnits
	if j.mode == experiment.ModeSplit {
		p.Mode = 1
	}
	for i, wanted := range j.wanted {
		if wanted {
			p.Tracks |= 1 << i
		}
	}
	p.Rails = uint32(len(j.rails)) //nolint:gosec // at most as many as there are measures
	return &p
}

func (u *unit) encode(data []byte) []byte {
	data = binary.LittleEndian.AppendUint64(data, u.Unit)
	for _, window := range [...][measureCount]float32{u.Before, u.After} {
		for _, v := range window {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
	}
	data = binary.LittleEndian.AppendUint32(data, u.SeenBefore)
	data = binary.LittleEndian.AppendUint32(data, u.SeenAfter)
	return append(data, u.First|u.Moved<<1)
}

// Decode reads what Encode wrote for the same specification.
func Decode(spec experiment.Spec, data []byte) (*Judge, error) {
	j := New(spec)
	if err := j.decode(data); err != nil {
		return nil, fmt.Errorf("read the evidence of experiment %q: %w", spec.ID, err)
	}
	return j, nil
}

func (j *Judge) decode(data []byte) error {
	want := j.preface()
	var p preface
	n, err := binary.Decode(data, binary.LittleEndian, &p)
	if err != nil {
		return errStored
	}
	if p.Version != storedVersion {
		return fmt.Errorf("its version is %d, and this program reads %d", p.Version, storedVersion)
	}
	if want.Units = p.Units; p != *want || p.Units > maxUnits {
		return errStored
	}
	data = data[n:]
	for _, part := range j.fixed()[1:] {
		if n, err = binary.Decode(data, binary.LittleEndian, part); err != nil {
			return errStored
		}
		data = data[n:]
	}
	if len(data) != int(p.Units)*unitSize || !j.sound() {
		return errStored
	}
	for ; len(data) > 0; data = data[unitSize:] {
		u, ok := decodeUnit(data)
		if last := len(j.units) - 1; !ok || last >= 0 && j.units[last].Unit >= u.Unit {
			return errStored
		}
		j.units = append(j.units, u)
	}
	return nil
}

func decodeUnit(data []byte) (u unit, ok bool) {
	u.Unit = binary.LittleEndian.Uint64(data)
	at := 8
	for _, window := range [...]*[measureCount]float32{&u.Before, &u.After} {
		for m := range window {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))
			if !(v >= 0 && v <= math.MaxFloat32) {
				return u, false
			}
			window[m] = v
			at += 4
		}
	}
	u.SeenBefore, u.SeenAfter = binary.LittleEndian.Uint32(data[at:]), binary.LittleEndian.Uint32(data[at+4:])
	at += 8
	u.First, u.Moved = data[at]&1, data[at]>>1
	seen := (u.SeenBefore > 0 || u.Before == [measureCount]float32{}) && (u.SeenAfter > 0 || u.After == [measureCount]float32{})
	return u, u.Moved <= 1 && seen
}

// sound says whether all numbers are such that Look could have made them.
func (j *Judge) sound() bool {
	for i := range j.tracks {
		t := &j.tracks[i]
		if !t.Mean.Valid() || !(t.Baseline >= 0 && t.Candidate >= 0 && t.Doubt >= 0) || math.IsInf(t.Baseline+t.Candidate+t.Doubt, 0) {
			return false
		}
	}
	for i := range j.rails {
		if !j.rails[i].More.Valid() || !j.rails[i].Fewer.Valid() {
			return false
		}
	}
	for _, e := range j.Effects {
		for _, v := range []stats.Interval{e.Criterion, e.Rail} {
			if !(v.Lower <= v.Value && v.Value <= v.Upper) || math.IsInf(v.Value, 0) {
				return false
			}
		}
	}
	return !math.IsNaN(j.Ratio) && !math.IsInf(j.Ratio, 0) && j.Settle <= settling
}
