package nodes_test

import (
	"errors"
	"testing"

	"keyflow/nodes"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	r := nodes.NewRegistry(nodes.Type{Name: "b"}, nodes.Type{Name: "a", Summary: "old"}, nodes.Type{Name: "a", Summary: "new"})
	types := r.Types()
	if len(types) != 2 || types[0].Name != "b" || types[1].Summary != "new" {
		t.Errorf("types are %+v", types)
	}
	if _, ok := r.Lookup("c"); ok {
		t.Error("found a type that is not there")
	}
	if got, ok := r.Lookup("a"); !ok || got.Summary != "new" {
		t.Errorf("a is %+v, %v", got, ok)
	}
}

func TestErrorNamesCodeAndMessage(t *testing.T) {
	t.Parallel()
	cause := errors.New("secret detail")
	err := error(&nodes.Error{Code: nodes.CodeNetwork, Message: "no answer", Err: cause})
	if err.Error() != "network: no answer" || !errors.Is(err, cause) {
		t.Errorf("error is %q", err)
	}
}
