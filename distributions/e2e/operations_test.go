//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const manualFile = root + "/docs/operations-manual.md"

// manualBlock is a block of code with the comment before it that says what it is
// for: <!-- run: … -->, <!-- config --> or <!-- file: … -->.
type manualBlock struct{ kind, name, language, text string }

func readManual(t *testing.T) []manualBlock {
	t.Helper()
	text, err := os.ReadFile(manualFile)
	require.NoError(t, err)
	var blocks []manualBlock
	block := regexp.MustCompile("(?s)\n(?:<!-- (run|config|file)(?:: ([^>]*?))? -->\n)?```(\\w+)\n(.*?\n)```\n")
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, manualBlock{kind: m[1], name: m[2], language: m[3], text: m[4]})
	}
	require.NotEmpty(t, blocks)
	return blocks
}

// manualEnvironment is what the manual says that the reader has set.
func manualEnvironment(t *testing.T, dir string) []string {
	t.Helper()
	programs := filepath.Join(dir, "bin")
	require.NoError(t, os.MkdirAll(programs, 0o750))
	require.NoError(t, os.Symlink(binary(t, "PHOENIX_COLLECTOR"), filepath.Join(programs, "phoenix-collector")))
	require.NoError(t, os.Symlink(binary(t, "PHOENIXCTL"), filepath.Join(programs, "phoenixctl")))
	return append(os.Environ(),
		"PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"),
		"DIRECTORY="+dir,
		"PHOENIX_CONFIG="+filepath.Join(dir, "phoenixctl.yaml"),
		"BACKEND=http://127.0.0.1:1",
		"PHOENIX_DSN=postgres://phoenix:secret@db.example/phoenix?sslmode=verify-full",
		"CERTIFICATES="+writeCertificates(t, filepath.Join(dir, "certificates")),
	)
}

// writeCertificates writes a certificate for this machine, which is its own
// authority.
func writeCertificates(t *testing.T, dir string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o750))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"server.crt": {Type: "CERTIFICATE", Bytes: certificate},
		"ca.crt":     {Type: "CERTIFICATE", Bytes: certificate},
		"server.key": {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}

// Each configuration of the manual is one that the collector accepts: the first
// by itself, the others as changes of it.
func TestConfigurationsOfTheManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := manualEnvironment(t, dir)
	base, n := "", 0
	for _, block := range readManual(t) {
		if block.language != "yaml" || block.kind == "file" {
			continue
		}
		require.Equal(t, "config", block.kind, "say what it is: %s", block.text)
		n++
		name := filepath.Join(dir, fmt.Sprintf("config-%d.yaml", n))
		require.NoError(t, os.WriteFile(name, []byte(block.text), 0o600))
		args := []string{"validate", "--config", name}
		if base == "" {
			// What the others say of the store takes the place of the directory.
			base = filepath.Join(dir, "base.yaml")
			text := strings.Replace(block.text, "    directory: ${env:DIRECTORY}/control\n", "", 1)
			require.NotEqual(t, block.text, text)
			require.NoError(t, os.WriteFile(base, []byte(text), 0o600))
		} else {
			args = []string{"validate", "--config", base, "--config", name}
		}
		cmd := exec.CommandContext(t.Context(), binary(t, "PHOENIX_COLLECTOR"), args...)
		cmd.Env = env
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%s%s", block.text, said, err)
		}
	}
	require.Positive(t, n)
}

// The commands of the manual do what it says, one after the other, with a
// collector that runs its first configuration.
func TestCommandsOfTheManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := manualEnvironment(t, dir)
	blocks := readManual(t)
	otlp := freePort(t)
	env = append(env, "PHOENIX_ADDRESS="+startFromManual(t, dir, env, blocks, otlp))
	defer keepSending(t, otlp)()

	for _, block := range blocks {
		if block.kind == "file" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, block.name), []byte(block.text), 0o600))
		}
		if block.language != "sh" {
			continue
		}
		require.Equal(t, "run", block.kind, "a command that is not run: %s", block.text)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", block.text)
		cmd.Dir, cmd.Env = dir, env
		said, err := cmd.CombinedOutput()
		cancel()
		require.NoError(t, err, "%s:\n%s\n%s", block.name, block.text, said)
		if want := saidByManual[block.name]; want != "" {
			assert.Regexp(t, want, string(said), block.name)
		}
	}
}

// saidByManual is what blocks of the manual must say, by name.
var saidByManual = map[string]string{
	"look":                   `tag_consolidation`,
	"first key":              `admin:\*`,
	"second key":             `shop-ci`,
	"enforce":                `enforced`,
	"sampling":               `shop/shop-budget/steady`,
	"kill switch by command": `incident 4711`,
	"kill switch by API":     `"engaged": ?true`,
	"kill switch by file":    `incident 4711`,
	"backup":                 `checksum right`,
	"restore":                `restored`,
	"audit":                  `are as they were written`,
}

// startFromManual runs the first configuration of the manual, at ports that
// nobody uses.
func startFromManual(t *testing.T, dir string, env []string, blocks []manualBlock, otlp int) (address string) {
	t.Helper()
	text := ""
	for _, block := range blocks {
		if block.kind == "config" {
			text = block.text
			break
		}
	}
	port := freePort(t)
	for old, changed := range map[string]string{
		"  health_check:\n":      fmt.Sprintf("  health_check:\n    endpoint: localhost:%d\n", freePort(t)),
		"  phoenix_control:\n":   fmt.Sprintf("  phoenix_control:\n    endpoint: localhost:%d\n", port),
		"localhost:4317":         fmt.Sprintf("localhost:%d", otlp),
		"  tag_consolidation:\n": "  tag_consolidation:\n    interval: 1s\n    staleness: 3s\n",
	} {
		require.Equal(t, 1, strings.Count(text, old), "%q in the first configuration", old)
		text = strings.Replace(text, old, changed, 1)
	}
	config := filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(text+quiet), 0o600))
	cmd := exec.Command(binary(t, "PHOENIX_COLLECTOR"), "--config", config)
	cmd.Env = env
	start(t, cmd)
	address = fmt.Sprintf("http://localhost:%d", port)
	poll(t, patience, func(ctx context.Context) error {
		check := exec.CommandContext(ctx, binary(t, "PHOENIXCTL"), "--address", address, "system")
		check.Env = env
		said, err := check.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
	return address
}

// keepSending sends what the policy of the manual matches, until stop is called.
func keepSending(t *testing.T, port int) (stop func()) {
	t.Helper()
	send := sender(t, port)
	ending, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); ending.Err() == nil; {
			now := <-tick.C
			md := pmetric.NewMetrics()
			m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			m.SetName("http.server.requests")
			sum := m.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for pod := range 10 {
				p := sum.DataPoints().AppendEmpty()
				p.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
				p.SetTimestamp(pcommon.NewTimestampFromTime(now))
				p.SetIntValue(now.Sub(began).Milliseconds())
				p.Attributes().PutStr("pod", fmt.Sprintf("cart-%d", pod))
			}
			send(md)
		}
	}()
	return func() {
		end()
		<-done
	}
}
