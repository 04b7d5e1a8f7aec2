package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
	"github.com/phoenix-platform/phoenix/control/store/storetest"
)

var engine = storetest.Engine{
	Open: func(ctx context.Context, place string, o storetest.Options) (store.Store, error) {
		return sqlite.Open(ctx, sqlite.Settings{Path: place, Now: o.Now, MaxSeries: o.MaxSeries})
	},
	NewPlace: func(tb testing.TB) string {
		tb.Helper()
		return filepath.Join(tb.TempDir(), "phoenix.db")
	},
	Exec: func(ctx context.Context, place, statement string) error {
		db, err := sql.Open("sqlite", place)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, statement)
		return errors.Join(err, db.Close())
	},
}

func TestStore(t *testing.T) { storetest.Run(t, engine) }

func TestMain(m *testing.M) {
	storetest.Child(engine)
	if path := os.Getenv(fullDiskPath); path != "" {
		if err := writeUntilFull(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestStoreSurvivesKills(t *testing.T) {
	storetest.Crash{Engine: engine, Kills: storetest.Kills(10)}.Run(t)
}
