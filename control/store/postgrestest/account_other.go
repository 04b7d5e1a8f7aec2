//go:build !unix

package postgrestest

import (
	"errors"
	"os/exec"
)

type account struct{}

func unprivileged() (account, error) {
	return account{}, errors.New("PostgreSQL servers for tests need Unix")
}

func (account) own(string) error { return nil }

func (account) as(*exec.Cmd) {}
