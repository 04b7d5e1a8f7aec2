package archtest

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Entry is one component of the manifest.
type Entry struct {
	Module, Version string
	Import          string // package of the factory
}

// Manifest is what builder-config.yaml says, as far as it is checked here.
type Manifest struct {
	Version string
	Entries []Entry
}

// LoadManifest reads a manifest of the OpenTelemetry Collector builder.
func LoadManifest(file string) (Manifest, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Manifest{}, err
	}
	return parseManifest(text)
}

func parseManifest(text []byte) (Manifest, error) {
	type module struct {
		GoMod  string `yaml:"gomod"`
		Import string `yaml:"import"`
	}
	var raw struct {
		Dist struct {
			Version string `yaml:"version"`
		} `yaml:"dist"`
		Receivers, Processors, Exporters, Connectors, Extensions, Providers []module
	}
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	m := Manifest{Version: raw.Dist.Version}
	for _, mod := range slices.Concat(raw.Receivers, raw.Processors, raw.Exporters, raw.Connectors, raw.Extensions, raw.Providers) {
		name, version, ok := strings.Cut(mod.GoMod, " ")
		if !ok {
			return Manifest{}, fmt.Errorf("read manifest: gomod %q has no version", mod.GoMod)
		}
		entry := Entry{Module: name, Version: version, Import: mod.Import}
		if entry.Import == "" {
			entry.Import = name
		}
		m.Entries = append(m.Entries, entry)
	}
	return m, nil
}

// own returns the directories of the components of this module that the manifest names.
func (m Manifest) own() []string {
	var dirs []string
	for _, e := range m.Entries {
		if e.Module == modulePath {
			dirs = append(dirs, strings.TrimPrefix(e.Import, modulePath+"/"))
		}
	}
	return dirs
}

// TreeComponents returns the directories <kind>/<name> below root that hold a factory.
func TreeComponents(root string) ([]string, error) {
	var dirs []string
	for _, kind := range components {
		found, err := filepath.Glob(filepath.Join(root, kind, "*", "factory.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			dirs = append(dirs, path.Join(kind, filepath.Base(filepath.Dir(file))))
		}
	}
	return dirs, nil
}

// CheckManifest returns a sentence for each component that is only in the tree or only in the manifest.
func CheckManifest(m Manifest, tree []string) []string {
	var found []string
	own := m.own()
	for _, dir := range tree {
		if !slices.Contains(own, dir) {
			found = append(found, dir+" has a factory and is not in builder-config.yaml: add it and run make generate")
		}
	}
	for _, dir := range own {
		if !slices.Contains(tree, dir) {
			found = append(found, fmt.Sprintf("builder-config.yaml names %s, which has no factory.go", dir))
		}
	}
	return found
}

// CheckVersions returns a sentence for each component whose version in the manifest is not the one that go.mod builds with.
func CheckVersions(m Manifest, required map[string]string) []string {
	var found []string
	for _, e := range m.Entries {
		if e.Module == modulePath {
			continue
		}
		if have := required[e.Module]; have != e.Version {
			found = append(found, fmt.Sprintf("builder-config.yaml wants %s %s, go.mod has %q", e.Module, e.Version, have))
		}
	}
	return found
}

// Required reads the requirements of a go.mod: module to version.
func Required(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	required := make(map[string]string)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// "require a v1", or "a v1 // indirect" in a block.
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") {
			required[fields[0]] = fields[1]
		}
	}
	return required, lines.Err()
}
