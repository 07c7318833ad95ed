package expression_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
)

const numbers = `{"input": {"id": 12345678901234567890, "next": 12345678901234567891, "same": 12345678901234567890.0,
	"price": 19.99, "cheap": 1.10, "dime": 0.1, "far": 1e400, "near": 1e-400, "max": 9223372036854775807,
	"beyond": 9223372036854775808, "text": "abc", "list": [3, 1.5, 12345678901234567890, 1.50, -2e0]}}`

func evalNumbers(t *testing.T, source string) (any, error) {
	t.Helper()
	v, err := jsonvalue.Decode([]byte(numbers))
	if err != nil {
		t.Fatal(err)
	}
	value, errs := expression.CompileValue(source, scope())
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return value.Eval(t.Context(), expression.Env{Vars: v.(map[string]any)})
}

func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"passed on":               {`{{ input.list }}`, `[3,1.5,12345678901234567890,1.50,-2e0]`},
		"in a text":               {`id={{ input.id }}&price={{ input.cheap }}`, `"id=12345678901234567890&price=1.10"`},
		"as a text":               {`{{ string(input.id) + string(input.far) }}`, `"123456789012345678901e400"`},
		"as JSON":                 {`{{ toJSON([input.cheap, input.id]) }}`, `"[1.10,12345678901234567890]"`},
		"from JSON":               {`{{ fromJSON("[1.10, 123456789012345678901234567890]") }}`, `[1.10,123456789012345678901234567890]`},
		"equality":                {`{{ [input.id == input.next, input.id == input.same, input.id != input.next, input.max == input.beyond] }}`, `[false,true,true,false]`},
		"equality with a literal": {`{{ [input.price == 19.99, 1.1 == input.cheap, input.id == 12345678901234567890.0, input.id == "12345678901234567890"] }}`, `[true,true,true,false]`},
		"equality inside":         {`{{ [input.id, {a: 1.0}] == [input.same, {a: 1}] }}`, `true`},
		"order":                   {`{{ [input.id < input.next, input.next <= input.id, input.far > input.next, input.near > 0, input.beyond > input.max, input.price >= 19.99] }}`, `[true,false,true,true,true,true]`},
		"order of far apart":      {`{{ 0 < input.near < input.far }}`, `true`},
		"in":                      {`{{ [input.same in [input.id], input.next in [input.id]] }}`, `[true,false]`},
		"sum":                     {`{{ [input.dime + 0.2, input.id + 1, input.max + 1, input.far - input.far, sum(input.list)] }}`, `[0.3,12345678901234567891,9223372036854775808,0,12345678901234567894]`},
		"difference":              {`{{ [1 - 0.9, -input.id, -input.dime, 20 - input.price, -9223372036854775807 - 2] }}`, `[0.1,-12345678901234567890,-0.1,0.01,-9223372036854775809]`},
		"product":                 {`{{ [input.price * 3, input.id * 10, 9223372036854775807 * 2, 0.1 * 10] }}`, `[59.97,123456789012345678900,18446744073709551614,1]`},
		"quotient":                {`{{ [input.id / 10, 1 / 8, 10 / 4, 7.5 / 2.5, 10 / 5] }}`, `[1234567890123456789,0.125,2.5,3,2]`},
		"remainder":               {`{{ [input.id % 7, -7 % 3] }}`, `[1,-1]`},
		"power":                   {`{{ [2 ** 64, 10 ^ 20, 1.1 ** 2, 2 ** -2] }}`, `[18446744073709551616,100000000000000000000,1.21,0.25]`},
		"literals":                {`{{ [0.12345678901234567890123, 12345678901234567890.5, 1_000.5, .5, 1e3] }}`, `[0.12345678901234567890123,12345678901234567890.5,1000.5,0.5,1000]`},
		"rounding":                {`{{ [floor(input.price), ceil(input.price), round(input.price), abs(-input.id), int(input.price), floor(-0.5), round(2.5)] }}`, `[19,20,20,12345678901234567890,19,-1,3]`},
		"whole number of a text":  {`{{ [int("12345678901234567890"), int("7")] }}`, `[12345678901234567890,7]`},
		"sorting":                 {`{{ [sort(input.list), sortBy([input.next, input.id], #, "desc")] }}`, `[[-2e0,1.5,1.50,3,12345678901234567890],[12345678901234567891,12345678901234567890]]`},
		"aggregates":              {`{{ [min(input.list), max(input.list, input.next), mean([0.1, 0.2]), median([0.1, 0.2, 0.3]), median([1, 2])] }}`, `[-2e0,12345678901234567891,0.15,0.2,1.5]`},
		"of none":                 {`{{ [sum([]), mean([]), median([]), min([])] }}`, `[0,0,0,null]`},
		"unique":                  {`{{ uniq([input.id, input.same, input.next, 1, 1.0, 1.50, 1.5]) }}`, `[12345678901234567890,12345678901234567891,1,1.5]`},
		"groups":                  {`{{ groupBy([1, 1.0, input.id, input.same, true], #) }}`, `{"1":[1,1],"12345678901234567890":[12345678901234567890,12345678901234567890.0],"true":[true]}`},
		"pairs":                   {`{{ fromPairs([[input.id, 1], [1.50, 2]]) }}`, `{"1.5":2,"12345678901234567890":1}`},
		"indexes":                 {`{{ let two = fromJSON("2.0"); [input.list[4 / 2], input.list[two], get(input.list, two), take(input.list, two), input.list[1:two], 1..two, repeat("a", two)] }}`, `[12345678901234567890,12345678901234567890,12345678901234567890,[3,1.5],[1.5],[1,2],"aa"]`},
		"types":                   {`{{ [type(input.id), type(input.price), type(input.max)] }}`, `["int","float","int"]`},
		"float rounds":            {`{{ [float(input.id), float(0.1) + 0.2, float(1) / 3, float("0.5") * 3, float(input.dime) == 0.1] }}`, `[12345678901234567000,0.30000000000000004,0.3333333333333333,1.5,true]`},
		"a loop":                  {`{{ reduce(input.list, #acc + #, 0) }}`, `12345678901234567894`},
		"a filter":                {`{{ filter(input.list, # > 2.999) }}`, `[3,12345678901234567890]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := evalNumbers(t, tt.source)
			if err != nil {
				t.Fatal(err)
			}
			text, err := jsonvalue.Encode(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(text)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.source, diff)
			}
		})
	}
}

func TestWhatCannotBeExactIsAnError(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"quotient":           {`1 / 3`, "/ has no exact decimal result: write float(...) around an operand to round"},
		"mean":               {`mean([1, 1, 2])`, "mean has no exact decimal result: write float(...) around an operand to round"},
		"root":               {`2 ** 0.5`, "** has no exact decimal result: write float(...) around an operand to round"},
		"far apart":          {`input.far * 1e300 + 1e-400`, "+ needs more than 1000 digits: write float(...) around an operand to round"},
		"large power":        {`7 ** 9999999`, "** needs more than 1000 digits: write float(...) around an operand to round"},
		"division by zero":   {`input.price / 0`, "division by zero"},
		"remainder of zero":  {`1 % (1 - 1)`, "division by zero"},
		"remainder of price": {`input.id % input.price`, "% needs whole numbers"},
		"number and text":    {`input.id + input.text`, "invalid operation: number + string"},
		"order with text":    {`input.id < input.text`, "invalid operation: number < string"},
		"minus text":         {`-input.text`, "invalid operation: - string"},
		"index":              {`input.list[input.price]`, "an index is a whole number, or the name of a member"},
		"float":              {`float(input.far)`, "float: the number is out of range"},
		"key":                {`{(input.id): 1}`, "a text is needed, got a number"},
		"sum of texts":       {`sum([input.text])`, "sum needs numbers, got a text"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := evalNumbers(t, "{{ "+tt.source+" }}")
			if err == nil {
				t.Fatalf("%s is %v, want an error", tt.source, got)
			}
			if message, _, _ := strings.Cut(err.Error(), "\n"); message != tt.want {
				t.Errorf("error is %q, want %q", message, tt.want)
			}
		})
	}
}

// Any JSON that an expression hands on is written as it was read, digit for digit.
func TestPassedOnDigitForDigit(t *testing.T) {
	t.Parallel()
	e, errs := expression.CompileValue(map[string]any{"whole": "{{ item }}", "part": "{{ item[0] }}", "text": "{{ item[0] }}!"}, scope())
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`)
	rapid.Check(t, func(rt *rapid.T) {
		n := number.Draw(rt, "number")
		v, err := jsonvalue.Decode([]byte("[" + n + "]"))
		if err != nil {
			rt.Fatal(err)
		}
		got, err := e.Eval(t.Context(), expression.Env{Vars: map[string]any{"item": v}})
		if err != nil {
			rt.Fatal(err)
		}
		text, err := jsonvalue.Encode(got)
		if err != nil {
			rt.Fatal(err)
		}
		if want := `{"part":` + n + `,"text":"` + n + `!","whole":[` + n + `]}`; string(text) != want {
			rt.Fatalf("%s became %s", want, text)
		}
	})
}

// A long number in an input cannot make a calculation slow.
func TestLongNumbersAreLimited(t *testing.T) {
	t.Parallel()
	vars := map[string]any{"item": json.Number(strings.Repeat("7", 1_000_000))}
	for source, want := range map[string]string{
		`item * item`:                "* needs more than 1000 digits",
		`item + 1`:                   "+ needs more than 1000 digits",
		`item == item + 0`:           "+ needs more than 1000 digits",
		`count(1..100000, item > 1)`: "the expression ",
		`[item] | map(#) | sort() | first() > item`: "",
	} {
		e, err := expression.Compile(source, scope())
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Eval(t.Context(), expression.Env{Vars: vars})
		switch {
		case want == "" && (err != nil || got != false):
			t.Errorf("%s is %v, %v", source, got, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: error is %v, want %q", source, err, want)
		}
	}
}
