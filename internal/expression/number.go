package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/expr-lang/expr/vm/runtime"

	"keyflow/internal/decimal"
)

// Numbers of an evaluation are exact: int, json.Number (any other whole number or decimal, by
// its text) and the bytes of texts. A float64 is what float() gave or was computed from it:
// only then is a result rounded.

func isNumber(v any) bool {
	switch v.(type) {
	case int, json.Number, float64, uint8:
		return true
	}
	return false
}

// exact returns a number as a decimal; a float64 counts as the shortest text that reads back
// as it, which is what it becomes when it is stored. Infinity and NaN are errors.
func (m *machine) exact(v any) (decimal.Number, error) {
	switch v := v.(type) {
	case int:
		return decimal.FromInt(v), nil
	case uint8:
		return decimal.FromInt(int(v)), nil
	case float64:
		return decimal.Parse(strconv.FormatFloat(v, 'g', -1, 64))
	case json.Number:
		if err := m.read(len(v)); err != nil {
			return decimal.Number{}, err
		}
		if len(v) > decimal.MaxDigits {
			if err := m.build(2 * len(v)); err != nil {
				return decimal.Number{}, err
			}
		}
		return decimal.Parse(string(v))
	}
	return decimal.Number{}, fmt.Errorf("a number is needed, got %s", kind(v))
}

// fromDecimal returns an int when it holds d, else its text.
func fromDecimal(d decimal.Number) any {
	if n, ok := d.Int(); ok {
		return n
	}
	return json.Number(d.String())
}

// asFloat rounds a number as float() does.
func asFloat(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case uint8:
		return float64(v)
	case float64:
		return v
	case json.Number:
		f, _ := v.Float64() // beyond its range it is an infinity, which no result may be
		return f
	}
	return math.NaN()
}

// order is -1, 0 or 1 for numbers as Compare has it; known is false when one is NaN.
func (m *machine) order(a, b any) (c int, known bool, err error) {
	switch x := a.(type) {
	case int:
		if y, ok := b.(int); ok {
			return orderOf(x < y, x > y), true, nil
		}
	case float64:
		y, ok := b.(float64)
		if ok || !finite(x) {
			y = asFloat(b)
			return orderOf(x < y, x > y), x == x && y == y, nil
		}
	}
	if y, ok := b.(float64); ok && !finite(y) {
		x := asFloat(a)
		return orderOf(x < y, x > y), y == y, nil
	}
	x, err := m.exact(a)
	if err != nil {
		return 0, false, err
	}
	y, err := m.exact(b)
	return decimal.Compare(x, y), true, err
}

func orderOf(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// arithmetic is an arithmetic operator on two numbers.
type arithmetic struct {
	symbol string
	ints   func(a, b int) (n int, ok bool) // ok is false when an int cannot hold the result
	floats func(a, b float64) float64      // nil when only whole numbers are allowed
	exact  func(a, b decimal.Number) (decimal.Number, error)
	others func(a, b any) any // of expr: its panic is the error for what is no number
}

var (
	plus     = arithmetic{"+", addInts, func(a, b float64) float64 { return a + b }, decimal.Add, runtime.Add}
	minus    = arithmetic{"-", subtractInts, func(a, b float64) float64 { return a - b }, subtract, runtime.Subtract}
	product  = arithmetic{"*", multiplyInts, func(a, b float64) float64 { return a * b }, decimal.Mul, runtime.Multiply}
	quotient = arithmetic{"/", divideInts, func(a, b float64) float64 { return a / b }, decimal.Quo,
		func(a, b any) any { return runtime.Divide(a, b) }}
	modulo = arithmetic{"%", remainderInts, nil, remainder, func(a, b any) any { return runtime.Modulo(a, b) }}
	raised = arithmetic{"**", noInts, math.Pow, power, func(a, b any) any { return runtime.Exponent(a, b) }}
)

func addInts(a, b int) (int, bool) {
	n := a + b
	return n, (n > a) == (b > 0)
}

func subtractInts(a, b int) (int, bool) {
	n := a - b
	return n, (n < a) == (b > 0)
}

func multiplyInts(a, b int) (int, bool) {
	const half = 1 << 31
	if a > -half && a < half && b > -half && b < half {
		return a * b, true
	}
	return 0, false
}

func divideInts(a, b int) (int, bool) {
	if b == 0 || b == -1 || a%b != 0 {
		return 0, false
	}
	return a / b, true
}

func remainderInts(a, b int) (int, bool) {
	if b == 0 {
		return 0, false
	}
	return a % b, true
}

func noInts(int, int) (int, bool) { return 0, false }

func subtract(a, b decimal.Number) (decimal.Number, error) { return decimal.Add(a, b.Neg()) }

var errWhole = errors.New("needs whole numbers")

func remainder(a, b decimal.Number) (decimal.Number, error) {
	if !a.Whole() || !b.Whole() {
		return decimal.Number{}, errWhole
	}
	return decimal.Rem(a, b)
}

func power(a, b decimal.Number) (decimal.Number, error) {
	n, ok := b.Int()
	switch {
	case !ok:
		return decimal.Number{}, decimal.ErrInexact
	case n >= 0:
		return decimal.Pow(a, n)
	}
	p, err := decimal.Pow(a, -n)
	if err != nil {
		return p, err
	}
	return decimal.Quo(decimal.FromInt(1), p)
}

// apply computes exactly, or with rounding when an operand is a float64.
func (o *arithmetic) apply(m *machine, a, b any) (any, error) {
	if x, ok := a.(int); ok {
		if y, ok := b.(int); ok {
			if n, ok := o.ints(x, y); ok {
				return n, nil
			}
		}
	}
	if !isNumber(a) || !isNumber(b) {
		return o.others(a, b), nil
	}
	if o.floats != nil && (isFloat(a) || isFloat(b)) {
		return o.floats(asFloat(a), asFloat(b)), nil
	}
	x, err := m.exact(a)
	if err != nil {
		return nil, err
	}
	y, err := m.exact(b)
	if err != nil {
		return nil, err
	}
	d, err := o.exact(x, y)
	if err != nil {
		return nil, inexact(o.symbol, err)
	}
	return fromDecimal(d), m.spend(1 + (len(d.String()))/digitsPerStep)
}

func isFloat(v any) bool {
	_, ok := v.(float64)
	return ok
}

// inexact is the error of a calculation, with what to do about it.
func inexact(name string, err error) error {
	switch {
	case errors.Is(err, decimal.ErrInexact), errors.Is(err, decimal.ErrTooLong):
		return fmt.Errorf("%s %w: write float(...) around an operand to round", name, err)
	case errors.Is(err, errWhole):
		return fmt.Errorf("%s %w", name, err)
	}
	return err
}

func numberFunctions() []function {
	out := []function{
		{"negate", "v", negate},
		{"abs", "v", rounding("abs", func(d decimal.Number) (decimal.Number, error) {
			if d.Sign() < 0 {
				d = d.Neg()
			}
			return d, nil
		})},
		{"ceil", "v", rounding("ceil", decimal.Number.Ceil)},
		{"floor", "v", rounding("floor", decimal.Number.Floor)},
		{"round", "v", rounding("round", decimal.Number.Round)},
		{"int", "v", toInt},
		{"float", "v", toFloat},
		{"sum", "l", sum},
		{"min", "v", overAll("min", extreme(-1))},
		{"max", "v", overAll("max", extreme(1))},
		{"mean", "v", overAll("mean", mean)},
		{"median", "v", overAll("median", median)},
	}
	for _, o := range []arithmetic{minus, product, quotient, modulo, raised} { // add also joins texts
		out = append(out, function{o.symbol, "*", func(m *machine, a []any) (any, error) { return o.apply(m, a[0], a[1]) }})
	}
	for _, name := range []string{"bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr", "bitnot"} {
		out = append(out, function{name, "n", native(name)})
	}
	return out
}

func negate(m *machine, args []any) (any, error) {
	switch v := args[0].(type) {
	case float64:
		return -v, nil
	case int, json.Number, uint8:
		d, err := m.exact(v)
		return fromDecimal(d.Neg()), err
	}
	return runtime.Negate(args[0]), nil
}

// rounding adapts a function of one number; what is no exact number is left to expr.
func rounding(name string, f func(decimal.Number) (decimal.Number, error)) func(*machine, []any) (any, error) {
	foreign := native(name)
	return func(m *machine, args []any) (any, error) {
		switch v := args[0].(type) {
		case int, json.Number, uint8:
			d, err := m.exact(v)
			if err != nil {
				return nil, err
			}
			if d, err = f(d); err != nil {
				return nil, inexact(name, err)
			}
			return fromDecimal(d), nil
		}
		return foreign(m, args)
	}
}

// toInt cuts off a fraction. It refuses a float64 that an int cannot hold.
func toInt(m *machine, args []any) (any, error) {
	const limit = 1 << 63
	switch v := args[0].(type) {
	case float64:
		if !(v >= -limit && v < limit) {
			return nil, fmt.Errorf("int: %v is out of range", v)
		}
		return int(v), nil
	case json.Number:
		d, err := m.exact(v)
		return fromDecimal(d.Trunc()), err
	case string:
		if d, err := decimal.Parse(v); err == nil && d.String() == v && d.Whole() {
			return fromDecimal(d), nil
		}
	}
	return native("int")(nil, args)
}

func toFloat(_ *machine, args []any) (any, error) {
	if n, ok := args[0].(json.Number); ok {
		f, err := n.Float64()
		if err != nil {
			return nil, errors.New("float: the number is out of range")
		}
		return f, nil
	}
	return native("float")(nil, args)
}

// total adds up numbers.
func (m *machine) total(name string, l list) (any, error) {
	out := any(0)
	for i := range l.len() {
		v := l.at(i)
		if !isNumber(v) {
			return nil, fmt.Errorf("%s needs numbers, got %s", name, kind(v))
		}
		var err error
		if out, err = plus.apply(m, out, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func sum(m *machine, args []any) (any, error) { return m.total("sum", elements(args[0])) }

// overAll adapts an aggregate to numbers and lists of them, nested as they may be.
func overAll(name string, f func(m *machine, numbers []any) (any, error)) func(*machine, []any) (any, error) {
	return func(m *machine, args []any) (any, error) {
		numbers, err := m.flat(args)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			if !isNumber(n) {
				return nil, fmt.Errorf("%s needs numbers, got %s", name, kind(n))
			}
		}
		return f(m, numbers)
	}
}

// extreme finds the number that is furthest in a direction; none is null.
func extreme(direction int) func(*machine, []any) (any, error) {
	return func(m *machine, numbers []any) (any, error) {
		var out any
		for _, n := range numbers {
			if out == nil {
				out = n
				continue
			}
			c, known, err := m.order(n, out)
			if err != nil {
				return nil, err
			}
			if known && c == direction {
				out = n
			}
		}
		return out, nil
	}
}

func mean(m *machine, numbers []any) (any, error) {
	if len(numbers) == 0 {
		return 0, nil
	}
	all, err := m.total("mean", anys(numbers))
	if err != nil {
		return nil, err
	}
	return m.divide("mean", all, len(numbers))
}

func median(m *machine, numbers []any) (any, error) {
	if len(numbers) == 0 {
		return 0, nil
	}
	sorted, err := m.sorted(numbers, numbers, nil)
	if err != nil {
		return nil, err
	}
	l := sorted.([]any)
	if len(l)%2 == 1 {
		return l[len(l)/2], nil
	}
	both, err := m.total("median", anys(l[len(l)/2-1:len(l)/2+1]))
	if err != nil {
		return nil, err
	}
	return m.divide("median", both, 2)
}

func (m *machine) divide(name string, v any, n int) (any, error) {
	by := quotient
	by.symbol = name
	return by.apply(m, v, n)
}
