package prometheus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// BinaryVariable names the environment variable with the absolute path of a
	// server to use instead of building one.
	BinaryVariable = "PHOENIX_PROMETHEUS"

	// serverModule is where the module of the server lies below the root of ours.
	serverModule  = "internal/testkit/prometheus/server"
	serverCommand = "github.com/prometheus/prometheus/cmd/prometheus"
)

// Without service discovery the server compiles in a third of the time. The
// state of our checkout must not show in the binary.
var buildFlags = []string{"-trimpath", "-buildvcs=false", "-tags=remove_all_sd"}

// Binary returns the path of the server that [BinaryVariable] names, or else
// of the one in the cache, which it builds if it is not there. building, unless
// nil, is called before a build, which takes minutes. The working directory
// must be in the module of Phoenix.
func Binary(ctx context.Context, building func(target string)) (string, error) {
	if named := os.Getenv(BinaryVariable); named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("%s: %w", BinaryVariable, err)
		}
		return named, nil
	}
	dir, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	key, err := cacheKey(ctx, dir)
	if err != nil {
		return "", err
	}
	cache, err := cacheRoot()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "phoenix", "tools", key, "prometheus")
	if _, err := os.Stat(target); err == nil {
		return target, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if building != nil {
		building(target)
	}
	return target, place(target, func(path string) error {
		_, err := runGo(ctx, dir, append([]string{"build", "-o", path}, append(buildFlags, serverCommand)...)...)
		return err
	})
}

// place makes a file appear at target at once and whole: two processes that
// build at the same time both succeed, and a build that fails leaves nothing.
func place(target string, build func(path string) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(target), ".build-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(unfinished)) }()
	path := filepath.Join(unfinished, filepath.Base(target))
	if err := build(path); err != nil {
		return fmt.Errorf("build %s: %w", target, err)
	}
	return os.Rename(path, target)
}

// moduleDir finds the server's module by the working directory: built with
// -trimpath, a test does not know where its source is.
func moduleDir(ctx context.Context) (string, error) {
	said, err := runGo(ctx, "", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(said), filepath.FromSlash(serverModule))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("find the module of the Prometheus server; run this inside of the checkout of Phoenix: %w", err)
	}
	return dir, nil
}

// cacheKey names what decides the content of the binary.
func cacheKey(ctx context.Context, dir string) (string, error) {
	// In that directory, because its go.mod may ask for another toolchain.
	version, err := runGo(ctx, dir, "version")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		hash.Write(content)
	}
	fmt.Fprintln(hash, version, buildFlags)
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

func cacheRoot() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache"), err
}

// runGo returns what the go command prints. Its error holds what it complains
// about.
func runGo(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// Under the race detector CGO_ENABLED is 1, which is not for this binary.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSpace(out.String()), nil
}
