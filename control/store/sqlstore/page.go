package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/store"
)

// listing is a query that is answered in pages, by the sort key of the last
// item: skipping by number would show an item twice when others come.
type listing[T any] struct {
	table, columns string
	// join is what follows the table.
	join string
	// order has the columns of the sort key, parts their types.
	order []string
	parts []part
	// newest turns the order around.
	newest bool
	where  where
	scan   func(scanner) (T, error)
	// key returns the sort key of an item.
	key func(T) []any
}

func (l listing[T]) page(ctx context.Context, r reader, request store.PageRequest) (store.Page[T], error) {
	limit, err := request.Limit()
	if err != nil {
		return store.Page[T]{}, err
	}
	fingerprint := l.where.fingerprint(l.table)
	direction, operator := "", ">"
	if l.newest {
		direction, operator = " DESC", "<"
	}
	if request.Token != "" {
		after, err := decodeCursor(request.Token, fingerprint, l.parts)
		if err != nil {
			return store.Page[T]{}, err
		}
		l.where.beyond(l.order, operator, after)
	}
	order := strings.Join(l.order, direction+", ") + direction
	query := fmt.Sprintf("SELECT %s FROM %s%s%s ORDER BY %s LIMIT %s",
		l.columns, l.table, l.join, l.where.String(), order, l.where.arg(int64(limit)+1))
	items, err := collect(ctx, r, query, l.where.args, l.scan)
	if err != nil {
		return store.Page[T]{}, fmt.Errorf("list %s: %w", l.table, err)
	}
	page := store.Page[T]{Items: items}
	if len(items) > limit { // the one more says that there is a next page
		page.Items = slices.Clip(items[:limit])
		page.Next = encodeCursor(fingerprint, l.key(items[limit-1]))
	}
	return page, nil
}
