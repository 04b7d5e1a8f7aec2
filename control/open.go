package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/postgres"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

// openStore opens the store that the settings ask for.
func openStore(ctx context.Context, s Settings) (store.Store, error) {
	switch {
	case s.Postgres != "":
		opened, err := postgres.Open(ctx, postgres.Settings{DSN: s.Postgres, Now: s.Now})
		if err != nil {
			return nil, err
		}
		return opened, nil
	case s.Directory != "":
		opened, err := sqlite.Open(ctx, sqlite.Settings{Path: filepath.Join(s.Directory, databaseName), Now: s.Now})
		if err != nil {
			return nil, err
		}
		return opened, nil
	}
	s.Telemetry.Logger.Warn("Policies, API keys and the audit log are lost when the collector ends; " +
		"set directory or postgres to keep them")
	return openPassing(ctx, s)
}

// passingStore is a store that is gone when it is closed.
type passingStore struct {
	store.Store
	directory string
}

// openPassing opens a store among the temporary files. A collector that is
// killed leaves its directory behind.
func openPassing(ctx context.Context, s Settings) (store.Store, error) {
	directory, err := passingDirectory()
	if err != nil {
		return nil, fmt.Errorf("make a directory for a store that is not kept: %w; set directory", err)
	}
	opened, err := sqlite.Open(ctx, sqlite.Settings{Path: filepath.Join(directory, databaseName), Now: s.Now})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	return &passingStore{Store: opened, directory: directory}, nil
}

// inMemory is where Linux has files in memory, also where nothing else may be
// written to. They are bounded to 64 MiB in containers, too little for a history
// of months.
const inMemory = "/dev/shm"

func passingDirectory() (string, error) {
	const pattern = "phoenix-control-*"
	directory, err := os.MkdirTemp("", pattern)
	if err == nil {
		return directory, nil
	}
	if directory, again := os.MkdirTemp(inMemory, pattern); again == nil {
		return directory, nil
	}
	return "", err
}

// Close implements store.Store.
func (p *passingStore) Close() error {
	err := p.Store.Close()
	if removed := os.RemoveAll(p.directory); removed != nil {
		err = errors.Join(err, fmt.Errorf("remove the store that is not kept: %w", removed))
	}
	return err
}
