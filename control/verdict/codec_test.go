package verdict

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// all wants everything that can be judged.
func all(spec experiment.Spec) experiment.Spec {
	spec.Success = nil
	for _, m := range []experiment.Measure{experiment.MeasureSeries, experiment.MeasurePoints, experiment.MeasureBytes, experiment.MeasureCost} {
		spec.Success = append(spec.Success, experiment.Criterion{Measure: m, AtLeast: 0.1})
	}
	return spec
}

// A judge that is stored and read again after every look says what one says that was
// not.
func TestARestartLosesNothing(t *testing.T) {
	for _, spec := range []experiment.Spec{all(mirrorSpec()), all(splitSpec(10, 50))} {
		plain, stored := New(spec), New(spec)
		f := newFleet(120, 0.12)
		rng := rand.New(rand.NewPCG(7, 7))
		seq := uint64(0)
		for step, weight := range []int{10, 50} {
			for range 300 {
				seq++
				l := f.look(seq, step, weight)
				l.Epoch = 1 + seq/250
				if rng.IntN(10) == 0 {
					l.Baseline = nil
				} else {
					l.Candidate.FailedBatches = float64(rng.IntN(2))
					l.Candidate.SeriesError = 0.001
				}
				want := plain.Look(l)
				data, err := stored.Encode()
				require.NoError(t, err)
				stored, err = Decode(spec, data)
				require.NoError(t, err)
				require.Equal(t, want, stored.Look(l), "%s at look %d", spec.Mode, seq)
			}
		}
		data, err := plain.Encode()
		require.NoError(t, err)
		assert.Less(t, len(data)-len(plain.units)*unitSize, 8<<10)
	}
}

func TestDecodeRefuses(t *testing.T) {
	spec := all(splitSpec(10, 50))
	f, j := newFleet(50, 0.1), New(spec)
	f.run(j, 10, 10, 50)
	good, err := j.Encode()
	require.NoError(t, err)
	f2 := func(want string, change func(data []byte) []byte) {
		t.Helper()
		_, err := Decode(spec, change(bytes.Clone(good)))
		require.EqualError(t, err, `read the evidence of experiment "default/e": `+want)
	}
	const not = "it is not what was stored for this specification"
	f2(not, func([]byte) []byte { return nil })
	f2(not, func(data []byte) []byte { return data[:len(data)-1] })
	f2(not, func(data []byte) []byte { return append(data, 0) })
	f2("its version is 2, and this program reads 1", func(data []byte) []byte { data[0] = 2; return data })
	f2(not, func(data []byte) []byte { data[2] = 0; return data }) // of a mirror
	f2(not, func(data []byte) []byte {                             // units twice
		copy(data[len(data)-unitSize:], data[len(data)-2*unitSize:])
		return data
	})
	f2(not, func(data []byte) []byte { // a unit that is no number
		binary.LittleEndian.PutUint32(data[len(data)-unitSize+8:], math.Float32bits(float32(math.NaN())))
		return data
	})
	f2(not, func(data []byte) []byte { // a count that nothing has
		binary.LittleEndian.PutUint32(data[8:], math.MaxUint32)
		return data
	})
	_, err = Decode(all(mirrorSpec()), good)
	require.Error(t, err, "of another specification")
	_, err = Decode(splitSpec(10, 50), good)
	require.NoError(t, err, "criteria of a split have no state of their own")
}

func FuzzDecode(f *testing.F) {
	specs := []experiment.Spec{all(mirrorSpec()), all(splitSpec(10, 50))}
	for i, spec := range specs {
		fleet, j := newFleet(40, 0.1), New(spec)
		fleet.run(j, 12, 10, 50)
		data, err := j.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i == 1, data)
	}
	f.Add(false, []byte{})
	f.Fuzz(func(t *testing.T, split bool, data []byte) {
		spec := specs[0]
		if split {
			spec = specs[1]
		}
		j, err := Decode(spec, data)
		if err != nil {
			return
		}
		again, err := j.Encode()
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, again), "what is read is written as it was")
		fleet := newFleet(70, 0.1)
		for range 20 {
			for _, v := range j.Look(fleet.look(j.Seq+1, 1, 50)).Guardrails {
				require.NotEmpty(t, v.Verdict)
			}
		}
	})
}
