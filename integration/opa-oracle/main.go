// Command opa-oracle answers, with a real OPA, what the differential tests ask.
//
// Cases come in as JSON lines on stdin, and each gets one JSON line on stdout, in the same order. The first line on
// stdout is OPA's version. Values are written in canonical text: OPA's own syntax for terms, members of sets and keys
// of objects in OPA's order, numbers as OPA holds them, and strings escaped as JSON.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
	"github.com/open-policy-agent/opa/v1/version"
)

// evaluationTimeout ends an evaluation that a generated policy made too large to compare.
const evaluationTimeout = 5 * time.Second

type module struct {
	Path    string `json:"path"`
	Text    string `json:"text"`
	Dialect string `json:"dialect"`
}

// question is one case: a policy, its base data, and everything asked of it. Documents travel as JSON texts, so that
// no reader on the way changes the spelling of a number.
type question struct {
	Modules []module   `json:"modules"`
	Data    string     `json:"data"`
	Inputs  []*string  `json:"inputs"`
	Queries [][]string `json:"queries"`
	Now     int64      `json:"now"`
}

// answer has either the reason why OPA does not compile the policy, or one text for each input and query: `~` for
// undefined, `!code` for an error, or a value in canonical text.
type answer struct {
	Refused string     `json:"refused,omitempty"`
	Message string     `json:"message,omitempty"`
	Answers [][]string `json:"answers,omitempty"`
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	write(encoder, version.Version)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<27)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatalf("a case is not readable: %v", err)
		}
		write(encoder, asked.answer())
	}
	if err := lines.Err(); err != nil {
		log.Fatalf("stdin ended early: %v", err)
	}
}

func write(encoder *json.Encoder, line any) {
	if err := encoder.Encode(line); err != nil {
		log.Fatalf("cannot write an answer: %v", err)
	}
}

func (q *question) answer() answer {
	ctx := context.Background()
	var data map[string]any
	if err := util.UnmarshalJSON([]byte(q.Data), &data); err != nil {
		log.Fatalf("base data is no JSON object: %v in %s", err, q.Data)
	}
	store := inmem.NewFromObject(data)
	txn := storage.NewTransactionOrDie(ctx, store)
	defer store.Abort(ctx, txn)
	compiler, err := q.compile(storage.NonEmpty(ctx, store, txn))
	if err != nil {
		return answer{Refused: refusal(err), Message: err.Error()}
	}
	answers := make([][]string, 0, len(q.Inputs))
	for _, input := range q.Inputs {
		row := make([]string, 0, len(q.Queries))
		for _, path := range q.Queries {
			row = append(row, q.evaluate(ctx, compiler, store, txn, input, path))
		}
		answers = append(answers, row)
	}
	return answer{Answers: answers}
}

func (q *question) compile(conflict func([]string) (bool, error)) (*ast.Compiler, error) {
	modules := make(map[string]*ast.Module, len(q.Modules))
	for _, m := range q.Modules {
		dialect := ast.RegoV1
		if m.Dialect == "v0" {
			dialect = ast.RegoV0
		}
		parsed, err := ast.ParseModuleWithOpts(m.Path, m.Text, ast.ParserOptions{RegoVersion: dialect})
		if err != nil {
			return nil, err
		}
		modules[m.Path] = parsed
	}
	// As `opa run` does.
	compiler := ast.NewCompiler().WithPathConflictsCheck(conflict).WithEnablePrintStatements(true)
	compiler.Compile(modules)
	if compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

// refusal is the kind of the first error that keeps modules from compiling.
func refusal(err error) string {
	kinds := []string{}
	switch errs := err.(type) {
	case ast.Errors:
		for _, e := range errs {
			kinds = append(kinds, kind(e))
		}
	case *ast.Error:
		kinds = append(kinds, kind(errs))
	}
	// What follows from an undefined function or a rule's place is said after it; and a function whose own types are
	// wrong is undefined for those who call it.
	follows := slices.Contains(kinds, "type")
	first := "other"
	for _, k := range kinds {
		if k == "undefined_function" && follows {
			continue
		}
		if first == "other" || rank(k) < rank(first) {
			first = k
		}
	}
	return first
}

func kind(err *ast.Error) string {
	says := func(part string) bool { return strings.Contains(err.Message, part) }
	switch {
	case err.Code == ast.ParseErr:
		return "parse"
	case err.Code == ast.UnsafeVarErr:
		return "unsafe"
	case err.Code == ast.RecursionErr:
		return "recursion"
	case says("undefined function"):
		return "undefined_function"
	case says("conflict"), says("multiple default rules"), says("redeclared"):
		return "conflict"
	case err.Code == ast.TypeErr:
		return "type"
	default:
		return "compile"
	}
}

// rank orders the kinds by how much it would matter to take such a policy.
func rank(kind string) int {
	for i, k := range []string{"unsafe", "recursion", "undefined_function", "conflict", "compile", "type", "parse"} {
		if k == kind {
			return i
		}
	}
	return -1
}

func (q *question) evaluate(
	ctx context.Context, compiler *ast.Compiler, store storage.Store, txn storage.Transaction, input *string,
	path []string,
) string {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, segment := range path {
		ref = append(ref, ast.StringTerm(segment))
	}
	result := ast.VarTerm("result")
	query, err := compiler.QueryCompiler().Compile(ast.NewBody(ast.Equality.Expr(result, ast.NewTerm(ref))))
	if err != nil {
		// A function is no document.
		return "!query"
	}
	ctx, stop := context.WithTimeout(ctx, evaluationTimeout)
	defer stop()
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	evaluation := topdown.NewQuery(query).WithCompiler(compiler).WithStore(store).WithTransaction(txn).
		WithCancel(cancel).WithTime(time.Unix(0, q.Now))
	if input != nil {
		value, err := ast.ValueFromReader(strings.NewReader(*input))
		if err != nil {
			log.Fatalf("an input is no JSON: %v in %s", err, *input)
		}
		evaluation = evaluation.WithInput(ast.NewTerm(value))
	}
	solutions, err := evaluation.Run(ctx)
	switch {
	case err != nil:
		var coded *topdown.Error
		if errors.As(err, &coded) {
			return "!" + coded.Code
		}
		return "!" + err.Error()
	case len(solutions) == 0:
		return "~"
	case len(solutions) > 1:
		return fmt.Sprintf("!%d solutions", len(solutions))
	}
	var text bytes.Buffer
	canonical(&text, solutions[0]["result"].Value)
	return text.String()
}

// canonical writes a value. The order of members and keys is OPA's.
func canonical(to *bytes.Buffer, value ast.Value) {
	switch value := value.(type) {
	case ast.String:
		quoted(to, string(value))
	case *ast.Array:
		to.WriteByte('[')
		for i := range value.Len() {
			separate(to, i)
			canonical(to, value.Elem(i).Value)
		}
		to.WriteByte(']')
	case ast.Set:
		if value.Len() == 0 {
			to.WriteString("set()")
			return
		}
		to.WriteByte('{')
		for i, member := range value.Slice() {
			separate(to, i)
			canonical(to, member.Value)
		}
		to.WriteByte('}')
	case ast.Object:
		to.WriteByte('{')
		first := true
		value.Foreach(func(key, member *ast.Term) {
			if !first {
				to.WriteString(", ")
			}
			first = false
			canonical(to, key.Value)
			to.WriteString(": ")
			canonical(to, member.Value)
		})
		to.WriteByte('}')
	default:
		to.WriteString(value.String())
	}
}

func separate(to *bytes.Buffer, i int) {
	if i > 0 {
		to.WriteString(", ")
	}
}

// quoted writes a string as JSON does, with nothing escaped that need not be.
func quoted(to *bytes.Buffer, text string) {
	to.WriteByte('"')
	for _, char := range text {
		switch char {
		case '"', '\\':
			to.WriteByte('\\')
			to.WriteRune(char)
		case '\n':
			to.WriteString(`\n`)
		case '\r':
			to.WriteString(`\r`)
		case '\t':
			to.WriteString(`\t`)
		case '\b':
			to.WriteString(`\b`)
		case '\f':
			to.WriteString(`\f`)
		default:
			if char < 0x20 {
				fmt.Fprintf(to, `\u%04x`, char)
			} else {
				to.WriteRune(char)
			}
		}
	}
	to.WriteByte('"')
}
