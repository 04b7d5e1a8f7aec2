// Package contexts keeps the control planes that a user knows, each under a
// name, and the credentials for them, in a file that only the user can read.
package contexts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"go.yaml.in/yaml/v3"
)

// File is the content of the configuration file.
type File struct {
	// Current is the context that is used if none is named.
	Current string `yaml:"current,omitempty"`
	// Contexts are by name.
	Contexts map[string]Context `yaml:"contexts,omitempty"`
}

// Context is one control plane and how to speak to it.
type Context struct {
	// Address is such as https://phoenix.example:8620.
	Address string `yaml:"address"`
	// Credential is an API key or a bearer token. Default: none.
	Credential string `yaml:"credential,omitempty"`
	// CA, Cert and Key are files in PEM. Default: the system's certificates, and
	// no certificate of the client.
	CA   string `yaml:"ca,omitempty"`
	Cert string `yaml:"cert,omitempty"`
	Key  string `yaml:"key,omitempty"`
	// Namespace is that of policies whose namespace is not given. Default:
	// default.
	Namespace string `yaml:"namespace,omitempty"`
	// InsecureSkipTLSVerify takes any certificate of the server,
	// InsecurePlaintext sends the credential unencrypted to another machine.
	InsecureSkipTLSVerify bool `yaml:"insecure_skip_tls_verify,omitempty"`
	InsecurePlaintext     bool `yaml:"insecure_plaintext,omitempty"`
}

// maxFileBytes is more than anybody's contexts.
const maxFileBytes = 4 << 20

// ErrReadable is wrapped by the error of Load for a file with credentials that
// others can read.
var ErrReadable = errors.New("holds credentials and others can read it")

// Path is where the file is: what the variable PHOENIX_CONFIG names, else
// phoenix/config.yaml in the user's directory of configurations.
func Path() (string, error) {
	if named := os.Getenv("PHOENIX_CONFIG"); named != "" {
		return named, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the directory of configurations: %w; name a file by PHOENIX_CONFIG", err)
	}
	return filepath.Join(dir, "phoenix", "config.yaml"), nil
}

// Load reads the file. One that is not there is empty. Unknown keys are refused.
func Load(path string) (File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", path, err)
	}
	var file File
	in := yaml.NewDecoder(bytes.NewReader(text))
	in.KnownFields(true)
	if err := in.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("read %s: %w", path, err)
	}
	if file.secret() && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return File{}, fmt.Errorf("%s %w: chmod 600 %s, and revoke the keys if somebody may have read them", path, ErrReadable, path)
	}
	return file, nil
}

func (f File) secret() bool {
	for _, c := range f.Contexts {
		if c.Credential != "" {
			return true
		}
	}
	return false
}

// Save writes the file so that a reader sees the old one or the new one, and
// nobody but the user sees any.
func (f File) Save(path string) (err error) {
	var text bytes.Buffer
	out := yaml.NewEncoder(&text)
	out.SetIndent(2)
	if err := errors.Join(out.Encode(f), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path, dir = target, filepath.Dir(target) // the link stays one
	}
	temporary, err := os.CreateTemp(dir, ".config-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(text.Bytes())
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temporary.Name(), path)
}

// Names are the names of all contexts, sorted.
func (f File) Names() []string { return slices.Sorted(maps.Keys(f.Contexts)) }

// Set adds or replaces a context.
func (f *File) Set(name string, c Context) {
	if f.Contexts == nil {
		f.Contexts = map[string]Context{}
	}
	f.Contexts[name] = c
}
