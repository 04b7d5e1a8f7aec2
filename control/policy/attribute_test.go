package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseAttributeRef(t *testing.T) {
	f := func(text string, want AttributeRef) {
		t.Helper()
		got, err := ParseAttributeRef(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
	}
	f("pod", AttributeRef{LevelAny, "pod"})
	f("k8s.pod.name", AttributeRef{LevelAny, "k8s.pod.name"})
	f("resource.k8s.pod.name", AttributeRef{LevelResource, "k8s.pod.name"})
	f("scope.name", AttributeRef{LevelScope, "name"})
	f("point.resource.x", AttributeRef{LevelPoint, "resource.x"})
	f("resource.k8s.*", AttributeRef{LevelResource, "k8s.*"})
	f("resources.x", AttributeRef{LevelAny, "resources.x"})
	f("http route", AttributeRef{LevelAny, "http route"})
	f("/", AttributeRef{LevelAny, "/"})
}

func TestParseAttributeRefRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ParseAttributeRef(text)
		require.ErrorContains(t, err, want)
	}
	f("", "must not be empty")
	f("resource.", `"resource.": the name is missing after the dot`)
	f(" pod", "must be printable UTF-8 without spaces at its ends")
	f("po\x00d", "must be printable UTF-8")
	f("po\xffd", "must be printable UTF-8")
	f("/pod.*/", "must be a name or a glob (* and ?), not a regular expression")
	f("resource./pod.*/", "not a regular expression")
	f(`resource.attributes["pod"]`, "expressions are not read here")
	f(`attributes["pod"]`, "expressions are not read here")
	f("datapoint.pod", "write point.pod, or point.datapoint.pod if that is the key")
	f(strings.Repeat("k", maxNameBytes+1), "must not be longer than 1024 bytes")
}

func TestAttributeRefMatches(t *testing.T) {
	f := func(text string, level Level, key string, want bool) {
		t.Helper()
		ref, err := ParseAttributeRef(text)
		require.NoError(t, err)
		assert.Equal(t, want, ref.Matches(level, key), "%s %s %s", text, level, key)
	}
	// A bare name is the point's and the resource's, not the scope's
	f("pod", LevelPoint, "pod", true)
	f("pod", LevelResource, "pod", true)
	f("pod", LevelScope, "pod", false)
	f("pod", LevelPoint, "pods", false)
	f("resource.pod", LevelPoint, "pod", false)
	f("resource.pod", LevelResource, "pod", true)
	f("scope.lib", LevelScope, "lib", true)
	f("k8s.*", LevelPoint, "k8s.pod.name", true)
	f("k8s.*", LevelPoint, "k8s", false)
	// Those behind job and instance go only when they are named
	f("resource.*", LevelResource, "host.name", true)
	f("resource.*", LevelResource, "service.name", false)
	f("service.*", LevelResource, "service.instance.id", false)
	f("service.*", LevelPoint, "service.instance.id", true)
	f("service.instance.id", LevelResource, "service.instance.id", true)
	f("resource.service.namespace", LevelResource, "service.namespace", true)
}

func TestAttributeRefIsWhatItsTextSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(resource\.|scope\.|point\.|datapoint\.)?[a-z*?./ ]{0,6}`).Draw(t, "text")
		ref, err := ParseAttributeRef(text)
		if err != nil {
			return
		}
		if ref.String() != text {
			t.Fatalf("%q became %q", text, ref)
		}
		for _, level := range ref.levels() {
			if !ref.IsGlob() && !ref.Matches(level, ref.Key) {
				t.Fatalf("%s does not name itself", ref)
			}
		}
	})
}
