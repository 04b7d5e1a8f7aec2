package relabel

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

// RE2 takes at most as many steps as the value has bytes times the expression
// has instructions. maxSteps bounds that product, to about half a second for the
// worst expressions found: with more than 4,096 instructions, the longest values
// are not known. maxProgram bounds the instructions, so that values of 128 bytes
// always are.
const (
	maxSteps   = 1 << 24
	maxProgram = 1 << 17
)

// rewrite is an expression for whole values and what they become.
type rewrite struct {
	re    *regexp.Regexp
	parts []part
	most  int // bytes of a value
}

// part is a text or, if group is not negative, a group of the expression.
type part struct {
	text  string
	group int
}

var (
	errProgram  = errors.New("the expression is too large")
	errTemplate = errors.New("the template must not be empty")
	errDollar   = errors.New("the template has a $ without a group; $$ stands for a dollar sign")
	errGroup    = errors.New("the group is not in the expression")
)

func newRewrite(expression, template string) (*rewrite, error) {
	// By itself first: a)|(b is none, though it would become one between the
	// parentheses of the anchors.
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("%w: %d instructions, %d are the most", errProgram, len(program.Inst), maxProgram)
	}
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return nil, err
	}
	if template == "" {
		return nil, errTemplate
	}
	parts, err := parseTemplate(re, template)
	return &rewrite{re: re, parts: parts, most: min(MaxValueBytes, maxSteps/len(program.Inst))}, err
}

var templateGroup = regexp.MustCompile(`\$(?:(\$)|\{(\w+)\}|(\w+))?`)

func parseTemplate(re *regexp.Regexp, template string) ([]part, error) {
	var parts []part
	text := func(s string) {
		if s != "" {
			parts = append(parts, part{text: s, group: -1})
		}
	}
	from := 0
	for _, at := range templateGroup.FindAllStringSubmatchIndex(template, -1) {
		text(template[from:at[0]])
		from = at[1]
		var name string
		switch {
		case at[2] >= 0:
			text("$")
			continue
		case at[4] >= 0:
			name = template[at[4]:at[5]]
		case at[6] >= 0:
			name = template[at[6]:at[7]]
		default:
			return nil, fmt.Errorf("%w, got %q", errDollar, template)
		}
		group, err := strconv.Atoi(name)
		if err != nil {
			group = re.SubexpIndex(name)
		}
		if group < 0 || group > re.NumSubexp() {
			return nil, fmt.Errorf("%w: %s", errGroup, template[at[0]:at[1]])
		}
		parts = append(parts, part{group: group})
	}
	text(template[from:])
	return parts, nil
}

// apply returns what a value becomes. A result that is too long for a value is
// none: a template may repeat its groups.
func (r *rewrite) apply(value string) (string, bool) {
	if len(value) > r.most {
		return "", false
	}
	at := r.re.FindStringSubmatchIndex(value)
	if at == nil {
		return "", false
	}
	var b strings.Builder
	for _, p := range r.parts {
		text := p.of(value, at)
		if b.Len()+len(text) > MaxValueBytes {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

func (p part) of(value string, at []int) string {
	switch {
	case p.group < 0:
		return p.text
	case at[2*p.group] < 0: // took no part in the match
		return ""
	}
	return value[at[2*p.group]:at[2*p.group+1]]
}
