package lint

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What the program is made of must be let into the build of its image, which
// otherwise fails where nobody looks: on machines that build images inside.
func TestImagesGetTheirSources(t *testing.T) {
	content, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, missing := range notLetIn(strings.Fields(string(content)), mayImport) {
		t.Errorf("%s is left out of images: add !%s to .dockerignore", missing, missing)
	}
}

// notLetIn are the folders that cmd may import, directly or not, and that the
// lines of a .dockerignore leave out.
func notLetIn(lines []string, mayImport map[string][]string) (missing []string) {
	reached := []string{"cmd"}
	for i := 0; i < len(reached); i++ {
		for _, next := range mayImport[reached[i]] {
			if !slices.Contains(reached, next) {
				reached = append(reached, next)
			}
		}
	}
	for _, folder := range reached {
		if !slices.Contains(lines, "!"+folder) {
			missing = append(missing, folder)
		}
	}
	return missing
}

func TestNotLetIn(t *testing.T) {
	rules := map[string][]string{"cmd": {"a"}, "a": {"b", "cmd"}, "b": {}, "c": {"cmd"}}
	if got := notLetIn([]string{"*", "!cmd", "!a"}, rules); !slices.Equal(got, []string{"b"}) {
		t.Errorf("left out: %v, want b alone", got)
	}
}
