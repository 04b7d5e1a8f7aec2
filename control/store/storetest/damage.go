package storetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// testDamagedBackups restores what is no backup: nothing of it stays.
func (e Engine) testDamagedBackups(t *testing.T) {
	full := newLab(t, e)
	full.fill(t)
	saved := full.backup(t)
	text := unpack(t, saved)
	empty := newLab(t, e)
	refused := func(name string, backup []byte, kind error) {
		t.Helper()
		err := empty.Restore(t.Context(), bytes.NewReader(backup))
		require.ErrorIs(t, err, kind, name)
		require.Empty(t, empty.log(t), name)
	}
	for n := 0; n < len(saved); n += 1 + len(saved)/60 {
		refused("cut off", saved[:n], store.ErrCorrupt)
		flipped := bytes.Clone(saved)
		flipped[n] ^= 0x10
		if n < 4 || n > 9 { // what gzip does not look at
			refused("a bit", flipped, store.ErrCorrupt)
		}
	}
	refused("more", append(bytes.Clone(saved), "more"...), store.ErrCorrupt)
	refused("two", append(bytes.Clone(saved), saved...), store.ErrCorrupt)
	for name, backup := range map[string]string{
		"nothing": "", "another file": "hello\n", "no version": "{}\n", "no end": text[:strings.LastIndex(text, `{"end"`)],
		"version 0": `{"phoenix_store_backup":0}` + "\n",
	} {
		refused(name, pack(t, backup), store.ErrCorrupt)
	}
	refused("newer", pack(t, strings.Replace(text, `"phoenix_store_backup":2`, `"phoenix_store_backup":3`, 1)), store.ErrNewerSchema)
	for _, c := range []struct { // with a new checksum, as somebody would who knows
		old, new string
		kind     error
	}{
		{`{"fact":`, `{"unknown":1,"fact":`, store.ErrCorrupt},
		{`{"price_model":{"name":"`, `{"price_model":{"name":"a/`, store.ErrCorrupt},
		{`{"experiment":{"namespace":"`, `{"experiment":{"namespace":"a/`, store.ErrCorrupt},
		{`"phase":"Running"`, `"phase":""`, store.ErrCorrupt},
		{`"policy":{"namespace":"`, `"policy":{"namespace":"x`, store.ErrCorrupt},
		{`"state":"draft"`, `"state":"dreft"`, store.ErrCorrupt},
		{`{"head":`, `{"fact":{"key":"first","value":""}}` + "\n" + `{"head":`, store.ErrCorrupt},
		{`"policy_version":`, `"policy_version":99999999999999999`, store.ErrCorrupt},
		{`"principal":"ada"`, `"principal":"eve"`, store.ErrChainBroken},
		{`"principal":"ada"`, `"principal":""`, store.ErrChainBroken},
		{`"audit_hash":"`, `"audit_hash":"` + store.SumSHA256(nil).String() + `","x":"`, store.ErrCorrupt},
		{`"audit_seq":`, `"audit_seq":1`, store.ErrChainBroken},
		{lastHash(text), store.SumSHA256(nil).String(), store.ErrChainBroken},
	} {
		require.Contains(t, text, c.old)
		refused(c.old+" to "+c.new, pack(t, sealAgain(strings.Replace(text, c.old, c.new, 1))), c.kind)
	}
	failure := errors.New("the network is down")
	err := empty.Restore(t.Context(), io.MultiReader(bytes.NewReader(saved[:len(saved)/2]), iotest.ErrReader(failure)))
	require.ErrorIs(t, err, failure)
	require.NoError(t, empty.Restore(t.Context(), bytes.NewReader(saved)), "after all that it is still empty")
}

func unpack(tb testing.TB, saved []byte) string {
	tb.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(saved))
	require.NoError(tb, err)
	text, err := io.ReadAll(packed)
	require.NoError(tb, err)
	return string(text)
}

func pack(tb testing.TB, text string) []byte {
	tb.Helper()
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	_, err := io.WriteString(packed, text)
	require.NoError(tb, errors.Join(err, packed.Close()))
	return b.Bytes()
}

// lastHash is how the head calls the end of the audit log.
func lastHash(text string) string {
	_, after, _ := strings.Cut(text, `"audit_hash":"`)
	hash, _, _ := strings.Cut(after, `"`)
	return hash
}

// sealAgain gives changed lines a trailer that fits.
func sealAgain(text string) string {
	body := text[:strings.LastIndex(text, `{"end"`)]
	return body + fmt.Sprintf(`{"end":{"records":%d,"sha256":%q}}`, strings.Count(body, "\n")-1, store.SumSHA256([]byte(body)).String()) + "\n"
}
