// Package decimal computes with decimal numbers of any size exactly: what JSON writes is what
// is compared and added, digit for digit. It knows no data around the numbers.
//
// Comparing reads texts only and costs what their length does. Arithmetic is limited to
// [MaxDigits], so that a short text such as 1e999999 cannot ask for megabytes of digits; a
// result that has no finite decimal form is [ErrInexact]. Nothing here ever rounds silently.
package decimal

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// MaxDigits bounds the digits of the operands and results of arithmetic.
const MaxDigits = 1000

var (
	// ErrInexact says that a result has more digits than can be written.
	ErrInexact = errors.New("has no exact decimal result")
	// ErrTooLong says that an operand or a result has more than MaxDigits.
	ErrTooLong = fmt.Errorf("needs more than %d digits", MaxDigits)
	// ErrNotANumber says that a text is not a JSON number, or its exponent is beyond 32 bits.
	ErrNotANumber = errors.New("not a decimal number")
	// ErrZero says that a divisor is zero.
	ErrZero = errors.New("division by zero")
)

// Number is 0.DIGITS × 10^point. The zero value is 0. Equal numbers are equal in ==.
type Number struct {
	negative bool
	digits   string // without zeros at either end; "" is 0
	point    int
}

// FromInt returns n as a Number.
func FromInt(n int) Number {
	d, _ := Parse(strconv.Itoa(n)) // a whole number always parses
	return d
}

// Parse reads a number as JSON writes it.
func Parse(text string) (Number, error) {
	var d Number
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil && strings.Trim(text[:i], "-0.") != "" {
			return d, ErrNotANumber
		}
		mantissa, exponent = text[:i], int(n)
	}
	if rest, ok := strings.CutPrefix(mantissa, "-"); ok {
		mantissa, d.negative = rest, true
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole
	if fraction != "" {
		digits = whole + fraction
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return Number{}, ErrNotANumber
	}
	kept := strings.TrimLeft(digits, "0")
	d.point = len(whole) - (len(digits) - len(kept)) + exponent
	if d.digits = strings.TrimRight(kept, "0"); d.digits == "" {
		return Number{}, nil
	}
	return d, nil
}

// String returns the number as JSON: plainly, or with an exponent when that would take more
// than maxPlain digits.
func (d Number) String() string {
	const maxPlain = 40
	sign, n := "", len(d.digits)
	if d.negative {
		sign = "-"
	}
	switch {
	case n == 0:
		return "0"
	case d.point >= n && d.point <= max(n, maxPlain):
		return sign + d.digits + strings.Repeat("0", d.point-n)
	case d.point > 0 && d.point < n:
		return sign + d.digits[:d.point] + "." + d.digits[d.point:]
	case d.point <= 0 && d.point > -maxPlain:
		return sign + "0." + strings.Repeat("0", -d.point) + d.digits
	}
	text := sign + d.digits[:1]
	if n > 1 {
		text += "." + d.digits[1:]
	}
	return text + "e" + strconv.Itoa(d.point-1)
}

// Whole reports whether there is nothing behind the point.
func (d Number) Whole() bool { return d.point >= len(d.digits) }

// Int returns the number when an int holds it exactly.
func (d Number) Int() (n int, ok bool) {
	if !d.Whole() || d.point > 19 {
		return 0, false
	}
	n, err := strconv.Atoi(d.String())
	return n, err == nil
}

// Fits reports whether the number takes at most MaxDigits when it is written plainly.
func (d Number) Fits() bool {
	return len(d.digits)-d.point <= MaxDigits && d.point <= MaxDigits && len(d.digits) <= MaxDigits
}

// Sign is -1, 0 or 1.
func (d Number) Sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// Compare is -1 when a < b, 0 when they are equal, and 1 when a > b.
func Compare(a, b Number) int {
	sign := a.Sign()
	if sign != b.Sign() || sign == 0 {
		return cmp.Compare(sign, b.Sign())
	}
	if a.point != b.point {
		return sign * cmp.Compare(a.point, b.point)
	}
	return sign * strings.Compare(a.digits, b.digits)
}

// Neg returns -d.
func (d Number) Neg() Number {
	d.negative = !d.negative && d.digits != ""
	return d
}

// Add returns a + b.
func Add(a, b Number) (Number, error) {
	x, y, exponent, err := aligned(a, b)
	if err != nil {
		return Number{}, err
	}
	return fromBig(x.Add(x, y), exponent)
}

// Mul returns a × b.
func Mul(a, b Number) (Number, error) {
	if len(a.digits)+len(b.digits) > MaxDigits {
		return Number{}, ErrTooLong
	}
	x, y := a.coefficient(), b.coefficient()
	return fromBig(x.Mul(x, y), a.exponent()+b.exponent())
}

// Quo returns a / b.
func Quo(a, b Number) (Number, error) {
	if b.digits == "" {
		return Number{}, ErrZero
	}
	if len(a.digits) > MaxDigits || len(b.digits) > MaxDigits {
		return Number{}, ErrTooLong
	}
	x, y := a.coefficient(), b.coefficient()
	divisor := new(big.Int).GCD(nil, nil, new(big.Int).Abs(x), new(big.Int).Abs(y))
	if x.Sign() != 0 {
		x.Quo(x, divisor)
		y.Quo(y, divisor)
	}
	// x/y is finite when y is made of twos and fives alone; then it takes as many places as
	// the more frequent of them.
	places := max(factor(y, 2), factor(y, 5))
	if x.Sign() == 0 {
		return Number{}, nil
	}
	if new(big.Int).Abs(strip(y)).Cmp(big.NewInt(1)) != 0 {
		return Number{}, ErrInexact
	}
	if places > MaxDigits {
		return Number{}, ErrTooLong
	}
	x.Mul(x, power10(places))
	return fromBig(x.Quo(x, y), a.exponent()-b.exponent()-places)
}

// Rem returns what whole numbers leave, with the sign of a, as in Go.
func Rem(a, b Number) (Number, error) {
	if b.digits == "" {
		return Number{}, ErrZero
	}
	x, y, exponent, err := aligned(a, b)
	if err != nil {
		return Number{}, err
	}
	return fromBig(x.Rem(x, y), exponent)
}

// Pow returns a to the power of n, which is not negative.
func Pow(a Number, n int) (Number, error) {
	if a.digits == "1" { // a power of ten takes no digits
		out := Number{negative: a.negative && n%2 == 1, digits: "1", point: 1}
		if a.point != 1 && n > MaxDigits {
			return Number{}, ErrTooLong
		}
		out.point += (a.point - 1) * n
		return out, nil
	}
	if a.digits != "" && n > 4*MaxDigits || len(a.digits)*n > 4*MaxDigits {
		return Number{}, ErrTooLong
	}
	x := a.coefficient()
	return fromBig(x.Exp(x, big.NewInt(int64(n)), nil), a.exponent()*n)
}

// Trunc cuts off what is behind the point.
func (d Number) Trunc() Number {
	switch {
	case d.Whole():
		return d
	case d.point <= 0:
		return Number{}
	}
	d.digits = strings.TrimRight(d.digits[:d.point], "0")
	return d
}

// away is the whole number next to d that is further from 0.
func (d Number) away() (Number, error) {
	one := Number{negative: d.negative, digits: "1", point: 1}
	return Add(d.Trunc(), one)
}

// Floor is the largest whole number that is not above d.
func (d Number) Floor() (Number, error) {
	if d.Whole() || !d.negative {
		return d.Trunc(), nil
	}
	return d.away()
}

// Ceil is the smallest whole number that is not below d.
func (d Number) Ceil() (Number, error) {
	if d.Whole() || d.negative {
		return d.Trunc(), nil
	}
	return d.away()
}

// Round is the nearest whole number; a half goes away from 0.
func (d Number) Round() (Number, error) {
	if d.Whole() || d.point < 0 || d.digits[d.point] < '5' {
		return d.Trunc(), nil
	}
	return d.away()
}

// exponent is that of the coefficient: d is coefficient × 10^exponent.
func (d Number) exponent() int { return d.point - len(d.digits) }

func (d Number) coefficient() *big.Int {
	n := new(big.Int)
	if d.digits != "" {
		n.SetString(d.digits, 10)
	}
	if d.negative {
		n.Neg(n)
	}
	return n
}

// aligned returns the coefficients of both numbers at the smaller of their exponents.
func aligned(a, b Number) (x, y *big.Int, exponent int, err error) {
	switch {
	case a.digits == "":
		exponent = b.exponent()
	case b.digits == "":
		exponent = a.exponent()
	default:
		exponent = min(a.exponent(), b.exponent())
	}
	if a.digits != "" && a.point-exponent > MaxDigits || b.digits != "" && b.point-exponent > MaxDigits {
		return nil, nil, 0, ErrTooLong
	}
	return a.at(exponent), b.at(exponent), exponent, nil
}

// at is the coefficient of d for an exponent that is not above its own.
func (d Number) at(exponent int) *big.Int {
	n := d.coefficient()
	if shift := d.exponent() - exponent; d.digits != "" && shift > 0 {
		n.Mul(n, power10(shift))
	}
	return n
}

func fromBig(n *big.Int, exponent int) (Number, error) {
	d, err := Parse(n.String())
	if err != nil || d.digits == "" {
		return d, err
	}
	if d.point += exponent; len(d.digits) > MaxDigits {
		return Number{}, ErrTooLong
	}
	return d, nil
}

func power10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// factor counts how often p divides n.
func factor(n *big.Int, p int64) int {
	count, prime, rest, remainder := 0, big.NewInt(p), new(big.Int).Set(n), new(big.Int)
	for {
		quotient, _ := new(big.Int).QuoRem(rest, prime, remainder)
		if remainder.Sign() != 0 {
			return count
		}
		rest = quotient
		count++
	}
}

// strip returns n without its factors 2 and 5.
func strip(n *big.Int) *big.Int {
	n = new(big.Int).Set(n)
	for _, p := range []int64{2, 5} {
		n.Quo(n, new(big.Int).Exp(big.NewInt(p), big.NewInt(int64(factor(n, p))), nil))
	}
	return n
}
