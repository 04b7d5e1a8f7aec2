package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/postgres"
	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
	"github.com/phoenix-platform/phoenix/control/store/storetest"
)

var engine = storetest.Engine{
	Open: func(ctx context.Context, place string, o storetest.Options) (store.Store, error) {
		return postgres.Open(ctx, postgres.Settings{DSN: place, Now: o.Now, MaxSeries: o.MaxSeries})
	},
	NewPlace: func(tb testing.TB) string {
		tb.Helper()
		return postgrestest.Shared(tb).NewSchema(tb)
	},
	Exec: func(ctx context.Context, place, statement string) error {
		conn, err := pgx.Connect(ctx, place)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, statement)
		return errors.Join(err, conn.Close(ctx))
	},
}

func TestMain(m *testing.M) {
	storetest.Child(engine)
	os.Exit(postgrestest.Run(m))
}

func TestStore(t *testing.T) { storetest.Run(t, engine) }

// TestBackupsMoveBetweenEngines needs the other engine, too.
func TestBackupsMoveBetweenEngines(t *testing.T) {
	sqliteEngine := storetest.Engine{
		Open: func(ctx context.Context, place string, o storetest.Options) (store.Store, error) {
			return sqlite.Open(ctx, sqlite.Settings{Path: place, Now: o.Now, MaxSeries: o.MaxSeries})
		},
		NewPlace: func(tb testing.TB) string {
			tb.Helper()
			return filepath.Join(tb.TempDir(), "phoenix.db")
		},
	}
	t.Run("from SQLite to PostgreSQL", func(t *testing.T) { storetest.Move(t, sqliteEngine, engine) })
	t.Run("from PostgreSQL to SQLite", func(t *testing.T) { storetest.Move(t, engine, sqliteEngine) })
}

func TestStoreSurvivesKills(t *testing.T) {
	storetest.Crash{Engine: engine, Kills: storetest.Kills(8)}.Run(t)
}

func TestStoreSurvivesCrashesOfTheServer(t *testing.T) {
	server := postgrestest.Start(t)
	own := engine
	own.NewPlace = server.NewDatabase
	storetest.Crash{Engine: own, Kills: storetest.Kills(4), Kill: func(child *os.Process) error {
		err := server.Crash()
		// It has no connection any more, but may be about to make one.
		return errors.Join(err, child.Kill(), server.Restart())
	}}.Run(t)
}
