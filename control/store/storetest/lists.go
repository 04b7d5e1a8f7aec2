package storetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// strange names sort by bytes as they stand here, which no locale does, and mean
// something in SQL.
var strange = []string{
	"!", "%", "'", "A", "Z", "\\", "_", "_x", "a", "a b", "a%", "a'; DROP TABLE policies; --", "aA", "aa", "ab", "a\u0301", "b", "zz", "é", "日本", "😀",
}

func (e Engine) testPolicyLists(t *testing.T) {
	t.Run("in the order of bytes", func(t *testing.T) {
		require.True(t, slices.IsSorted(strange))
		l := newLab(t, e)
		for i := range strange {
			name := strange[(i*8)%len(strange)] // 8 and 21 have no divisor in common
			l.create(t, key("shop", name), "", name)
		}
		all := everything(t, func(request store.PageRequest) (store.Page[store.Policy], error) {
			return l.ListPolicies(t.Context(), store.PolicyQuery{PageRequest: request})
		})
		assert.Equal(t, strange, names(all))
		for _, prefix := range []string{"", "a", "a%", "_", "%", "aa", "é", "nothing", "😀"} {
			page, err := l.ListPolicies(t.Context(), store.PolicyQuery{NamePrefix: prefix})
			require.NoError(t, err)
			want := slices.DeleteFunc(slices.Clone(strange), func(s string) bool { return !strings.HasPrefix(s, prefix) })
			assert.ElementsMatch(t, want, names(page.Items), "prefix %q", prefix)
		}
	})
	t.Run("filtered", e.testPolicyFilters)
	t.Run("while others come and go", e.testMovingList)
	t.Run("with a token of this query only", e.testTokens)
}

func (e Engine) testPolicyFilters(t *testing.T) {
	l := newLab(t, e)
	states := []store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced, store.StateDisabled}
	for i := range 24 {
		l.create(t, key(string(rune('a'+i%3)), fmt.Sprintf("p%02d", i)), states[i%4], "x")
	}
	for _, q := range []store.PolicyQuery{
		{},
		{Namespaces: []string{"a"}},
		{Namespaces: []string{"a", "c"}},
		{Namespaces: []string{}},
		{Namespaces: []string{"nobody's"}},
		{States: []store.PolicyState{store.StateEnforced}},
		{States: []store.PolicyState{store.StateEnforced, store.StateDraft}},
		{States: []store.PolicyState{}},
		{NamePrefix: "p1"},
		{Namespaces: []string{"b", "c"}, States: []store.PolicyState{store.StatePreview, store.StateDisabled}, NamePrefix: "p1"},
	} {
		got := everything(t, func(request store.PageRequest) (store.Page[store.Policy], error) {
			q.PageRequest = request
			return l.ListPolicies(t.Context(), q)
		})
		var want []string
		for namespace := range 3 {
			for i := namespace; i < 24; i += 3 {
				space, name := string(rune('a'+namespace)), fmt.Sprintf("p%02d", i)
				if (q.Namespaces == nil || slices.Contains(q.Namespaces, space)) &&
					(q.States == nil || slices.Contains(q.States, states[i%4])) && strings.HasPrefix(name, q.NamePrefix) {
					want = append(want, name)
				}
			}
		}
		assert.Equal(t, want, names(got), "%+v", q)
	}
}

func (e Engine) testTokens(t *testing.T) {
	l := newLab(t, e)
	for i := range 4 {
		l.create(t, key("a", strconv.Itoa(i)), "", "x")
		_, err := l.put(t, store.FactUpdate{Key: strconv.Itoa(i)})
		require.NoError(t, err)
	}
	first, err := l.ListPolicies(t.Context(), store.PolicyQuery{Namespaces: []string{"a"}, PageRequest: store.PageRequest{Size: 2}})
	require.NoError(t, err)
	for _, q := range []store.PolicyQuery{{}, {Namespaces: []string{"a", "b"}}, {NamePrefix: "a"}, {Namespaces: []string{"b"}}} {
		q.Token = first.Next
		_, err := l.ListPolicies(t.Context(), q)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorContains(t, err, "page_token")
	}
	_, err = l.ListFacts(t.Context(), "", store.PageRequest{Token: first.Next})
	require.ErrorIs(t, err, store.ErrInvalid)
	_, err = l.ListPolicies(t.Context(), store.PolicyQuery{
		Namespaces: []string{"a"}, PageRequest: store.PageRequest{Token: first.Next, Size: 1000},
	})
	require.NoError(t, err, "another size is another page of the same query")
}

// testMovingList reads page by page while things change: what stays is seen
// exactly once.
func (e Engine) testMovingList(t *testing.T) {
	l := newLab(t, e)
	name := func(i int) string { return fmt.Sprintf("%03d", i) }
	for i := 0; i < 60; i += 2 {
		l.create(t, key("a", name(i)), "", "x")
	}
	seen := map[string]int{}
	request := store.PageRequest{Size: 5}
	for round := 0; ; round++ {
		page, err := l.ListPolicies(t.Context(), store.PolicyQuery{PageRequest: request})
		require.NoError(t, err)
		for _, p := range page.Items {
			seen[p.Name]++
		}
		if page.Next == "" {
			break
		}
		request.Token = page.Next
		l.create(t, key("a", name(2*round+1)), "", "x") // before and behind the page
		require.NoError(t, l.remove(t, page.Items[len(page.Items)-1].PolicyKey, store.Any))
	}
	for i := 0; i < 60; i += 2 {
		assert.Equal(t, 1, seen[name(i)], name(i))
	}
}

func names(list []store.Policy) []string {
	var all []string
	for _, p := range list {
		all = append(all, p.Name)
	}
	return all
}

func (e Engine) testPriceModels(t *testing.T) {
	l := newLab(t, e)
	put := func(u store.PriceModelUpdate) (store.PriceModel, error) {
		return write(t.Context(), l, func(ctx context.Context, tx store.Tx) (store.PriceModel, error) {
			return tx.PutPriceModel(ctx, u, entry("priceModels.put"))
		})
	}
	remove := func(name string, condition store.Revision) error {
		return l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
			return tx.DeletePriceModel(ctx, name, condition, entry("priceModels.delete"))
		})
	}
	_, err := put(store.PriceModelUpdate{Name: "mine", If: 1, Spec: []byte("1")})
	require.ErrorIs(t, err, store.ErrNotFound)
	created, err := put(store.PriceModelUpdate{Name: "mine", Spec: []byte("1")})
	require.NoError(t, err)
	assert.Equal(t, store.PriceModel{
		Name: "mine", Spec: []byte("1"), SpecSHA256: store.SumSHA256([]byte("1")), Revision: 1,
		CreatedAt: Start, CreatedBy: "ada", UpdatedAt: Start, UpdatedBy: "ada",
	}, created)
	_, err = put(store.PriceModelUpdate{Name: "mine", Spec: []byte("1")})
	require.ErrorIs(t, err, store.ErrExists)
	same, err := put(store.PriceModelUpdate{Name: "mine", If: created.Revision, Spec: []byte("1")})
	require.NoError(t, err)
	assert.Equal(t, created, same)
	changed, err := put(store.PriceModelUpdate{Name: "mine", If: created.Revision, Spec: []byte("2")})
	require.NoError(t, err)
	assert.Greater(t, changed.Revision, created.Revision)
	_, err = put(store.PriceModelUpdate{Name: "mine", If: created.Revision, Spec: []byte("3")})
	require.ErrorIs(t, err, store.ErrConflict)
	read, err := l.GetPriceModel(t.Context(), "mine")
	require.NoError(t, err)
	assert.Equal(t, changed, read)
	for i := range 9 {
		_, err := put(store.PriceModelUpdate{Name: strconv.Itoa(i), If: store.Any})
		require.NoError(t, err)
	}
	all := everything(t, func(request store.PageRequest) (store.Page[store.PriceModel], error) {
		return l.ListPriceModels(t.Context(), request)
	})
	require.Len(t, all, 10)
	assert.Equal(t, "mine", all[9].Name)
	require.ErrorIs(t, remove("mine", created.Revision), store.ErrConflict)
	require.NoError(t, remove("mine", changed.Revision))
	require.ErrorIs(t, remove("mine", store.Any), store.ErrNotFound)
	again, err := put(store.PriceModelUpdate{Name: "mine", Spec: []byte("2")})
	require.NoError(t, err)
	assert.Greater(t, again.Revision, changed.Revision, "no revision comes twice")
	records := l.log(t)
	assert.Equal(t, changed.Digest(), records[2].After)
	assert.Equal(t, created.Digest(), records[2].Before)
}

func (e Engine) testFacts(t *testing.T) {
	l := newLab(t, e)
	_, err := l.GetFact(t.Context(), "id")
	require.ErrorIs(t, err, store.ErrNotFound)
	created, err := l.put(t, store.FactUpdate{Key: "id", Value: []byte("\x00\x01")})
	require.NoError(t, err)
	assert.Equal(t, store.Fact{Key: "id", Value: []byte("\x00\x01"), Revision: 1, UpdatedAt: Start, UpdatedBy: "ada"}, created)
	_, err = l.put(t, store.FactUpdate{Key: "id", Value: []byte("other")})
	require.ErrorIs(t, err, store.ErrExists)
	_, err = l.put(t, store.FactUpdate{Key: "id", If: 5, Value: []byte("other")})
	require.ErrorIs(t, err, store.ErrConflict)
	changed, err := l.put(t, store.FactUpdate{Key: "id", If: created.Revision, Value: []byte("new")})
	require.NoError(t, err)
	read, err := l.GetFact(t.Context(), "id")
	require.NoError(t, err)
	assert.Equal(t, changed, read)
	for i := range 12 {
		_, err := l.put(t, store.FactUpdate{Key: fmt.Sprintf("nodes/%02d", i), If: store.Any})
		require.NoError(t, err)
	}
	nodes := everything(t, func(request store.PageRequest) (store.Page[store.Fact], error) {
		return l.ListFacts(t.Context(), "nodes/", request)
	})
	assert.Len(t, nodes, 12)
	remove := func(condition store.Revision) error {
		return l.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
			return tx.DeleteFact(ctx, "id", condition, entry("facts.delete"))
		})
	}
	require.ErrorIs(t, remove(created.Revision), store.ErrConflict)
	require.NoError(t, remove(changed.Revision))
	require.ErrorIs(t, remove(store.Any), store.ErrNotFound)
	l.log(t)
}
