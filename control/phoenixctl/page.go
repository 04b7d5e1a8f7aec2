package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// maxPage is the largest page that the API gives.
const maxPage = 1000

// pages asks for page after page until there are no more items or enough.
// More says that some were left out. No limit is 0.
func pages[T any](limit int, ask func(size uint32, token string) (items []T, next string, err error)) (all []T, more bool, err error) {
	token := ""
	for {
		size := maxPage
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		items, next, err := ask(uint32(size), token)
		if err != nil {
			return nil, false, err
		}
		all = append(all, items...)
		if next == "" || limit > 0 && len(all) >= limit {
			return all, next != "", nil
		}
		token = next
	}
}

var errLimit = usageError{errors.New("--limit must be positive; leave it out for all")}

// limitFlag bounds a list.
func limitFlag(cmd *cobra.Command, otherwise int) *int {
	what := "how many to show at most"
	if otherwise == 0 {
		what += " (default: all)"
	}
	return cmd.Flags().Int("limit", otherwise, what)
}

func checkLimit(cmd *cobra.Command, limit int) error {
	if limit < 0 || limit == 0 && cmd.Flags().Changed("limit") {
		return errLimit
	}
	return nil
}
