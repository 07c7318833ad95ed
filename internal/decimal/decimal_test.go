package decimal_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keyflow/internal/decimal"
)

func number(t interface{ Fatalf(string, ...any) }, text string) decimal.Number {
	d, err := decimal.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func TestParseAndString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0.00": "0", "0e99999999999999999999": "0", "-7": "-7", "100": "100", "1.10": "1.1",
		"0.001": "0.001", "1e2": "100", "1.5E+3": "1500", "12e-1": "1.2", "1e400": "1e400", "-12.5e-60": "-1.25e-59",
		"12345678901234567890": "12345678901234567890", strings.Repeat("9", 500): strings.Repeat("9", 500),
	} {
		if got := number(t, text).String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "-", "x", "1e", "1e99999999999", ".", "NaN", "0x10", "1_0"} {
		if d, err := decimal.Parse(text); err == nil {
			t.Errorf("%q is %s, want an error", text, d)
		}
	}
}

func TestArithmetic(t *testing.T) {
	t.Parallel()
	type result = func(a, b decimal.Number) (decimal.Number, error)
	power := func(a, b decimal.Number) (decimal.Number, error) { n, _ := b.Int(); return decimal.Pow(a, n) }
	rounded := func(f func(decimal.Number) (decimal.Number, error)) result {
		return func(a, _ decimal.Number) (decimal.Number, error) { return f(a) }
	}
	tests := map[string]struct {
		op         result
		a, b, want string
	}{
		"sum":                     {decimal.Add, "0.1", "0.2", "0.3"},
		"sum of far apart":        {decimal.Add, "1e400", "1", "1" + strings.Repeat("0", 399) + "1"},
		"sum with zero":           {decimal.Add, "0", "1e999999", "1e999999"},
		"sum that cancels":        {decimal.Add, "1.5", "-1.5", "0"},
		"sum of too far apart":    {decimal.Add, "1e2000", "1", decimal.ErrTooLong.Error()},
		"product":                 {decimal.Mul, "19.99", "-3", "-59.97"},
		"product beyond":          {decimal.Mul, strings.Repeat("7", 600), strings.Repeat("7", 600), decimal.ErrTooLong.Error()},
		"quotient":                {decimal.Quo, "1", "8", "0.125"},
		"quotient of large ones":  {decimal.Quo, "12345678901234567890", "10", "1234567890123456789"},
		"quotient without end":    {decimal.Quo, "1", "3", decimal.ErrInexact.Error()},
		"quotient that ends":      {decimal.Quo, "-0.3", "3", "-0.1"},
		"quotient of zero":        {decimal.Quo, "0", "3", "0"},
		"quotient by zero":        {decimal.Quo, "1", "0", decimal.ErrZero.Error()},
		"remainder":               {decimal.Rem, "-12345678901234567890", "7", "-1"},
		"remainder by zero":       {decimal.Rem, "1", "0", decimal.ErrZero.Error()},
		"power":                   {power, "2", "80", "1208925819614629174706176"},
		"power of a decimal":      {power, "-0.1", "3", "-0.001"},
		"power zero":              {power, "0", "0", "1"},
		"power beyond":            {power, "7", "99999999", decimal.ErrTooLong.Error()},
		"power of ten beyond":     {power, "10", "99999999", decimal.ErrTooLong.Error()},
		"power of one":            {power, "-1", "99999999", "-1"},
		"floor":                   {rounded(decimal.Number.Floor), "-1.2", "0", "-2"},
		"floor of a positive one": {rounded(decimal.Number.Floor), "1.9", "0", "1"},
		"ceil":                    {rounded(decimal.Number.Ceil), "0.001", "0", "1"},
		"round half":              {rounded(decimal.Number.Round), "-2.5", "0", "-3"},
		"round down":              {rounded(decimal.Number.Round), "0.049", "0", "0"},
		"round up to a place":     {rounded(decimal.Number.Round), "999.5", "0", "1000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := tt.op(number(t, tt.a), number(t, tt.b))
			got := d.String()
			if err != nil {
				got = err.Error()
			}
			want := tt.want
			if w, err := decimal.Parse(want); err == nil {
				want = w.String()
			}
			if got != want {
				t.Errorf("%s and %s give %s, want %s", tt.a, tt.b, got, want)
			}
		})
	}
}

// Every result is that of math/big, and numbers that are equal are equal in ==.
func TestAgreesWithRationals(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		s, u := text.Draw(t, "a"), text.Draw(t, "b")
		a, b := number(t, s), number(t, u)
		x, _ := new(big.Rat).SetString(s)
		y, _ := new(big.Rat).SetString(u)
		if got := decimal.Compare(a, b); got != x.Cmp(y) || (got == 0) != (a == b) {
			t.Fatalf("%s and %s compare as %d", s, u, got)
		}
		ops := []func(a, b decimal.Number) (decimal.Number, error){decimal.Add, decimal.Mul, decimal.Quo}
		refs := []func(x, y *big.Rat) *big.Rat{new(big.Rat).Add, new(big.Rat).Mul, new(big.Rat).Quo}
		for i, op := range ops {
			got, err := op(a, b)
			switch {
			case errors.Is(err, decimal.ErrInexact), errors.Is(err, decimal.ErrZero):
				continue
			case err != nil:
				t.Fatalf("%d of %s and %s: %v", i, s, u, err)
			}
			if r, _ := new(big.Rat).SetString(got.String()); r.Cmp(refs[i](x, y)) != 0 {
				t.Fatalf("%d of %s and %s is %s", i, s, u, got)
			}
		}
	})
}
