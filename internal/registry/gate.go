package registry

// Gate hides a registry until its view is proven fresh: Pass is the only way to it. Its holder cannot forget the
// check, since without it there is nothing to answer from.
type Gate[T interface{ Fresh() error }] struct{ hidden T }

// NewGate returns the Gate of a registry.
func NewGate[T interface{ Fresh() error }](hidden T) Gate[T] { return Gate[T]{hidden: hidden} }

// Pass returns the registry, and ErrUnavailable if its view may be too old to answer from.
func (g Gate[T]) Pass() (T, error) {
	if err := g.hidden.Fresh(); err != nil {
		var none T
		return none, err
	}
	return g.hidden, nil
}
