package registry

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/keyring"
)

// Place is where a request was sent, and the issuers that it may be for. The zero value is a place of no issuer.
type Place struct {
	// Host and Path are the request's, in the form in which they are compared.
	Host, Path string
	*placeIssuers
}

// placeIssuers are the issuers of a place.
type placeIssuers struct {
	// issuers are all of them, the oldest first.
	issuers []*Issuer
	// owner is the one whose url is this place; nil where there is none, or more than one.
	owner  *Issuer
	owners int
}

// PlaceOf returns a place that has one issuer, which owns it.
func PlaceOf(issuer *Issuer) Place {
	r := &placeIssuers{}
	r.join(issuer, true)
	return Place{placeIssuers: r}
}

func (r *placeIssuers) join(issuer *Issuer, owns bool) {
	if !slices.Contains(r.issuers, issuer) {
		r.issuers = append(r.issuers, issuer)
	}
	if !owns {
		return
	}
	if r.owners++; r.owners == 1 {
		r.owner = issuer
	} else {
		r.owner = nil
	}
}

// Issuers returns the issuers that a request at the place may be for, the oldest first.
func (p *Place) Issuers() []*Issuer {
	if p.placeIssuers == nil {
		return nil
	}
	return p.issuers
}

// Sole returns the only issuer of the place; nil if there are several, or none.
func (p *Place) Sole() *Issuer {
	if issuers := p.Issuers(); len(issuers) == 1 {
		return issuers[0]
	}
	return nil
}

// Owner returns the issuer of a request that names none: the one whose url is this place, or the only one. It is nil if
// several issuers have the place as their endpointURL.
func (p *Place) Owner() *Issuer {
	if p.placeIssuers != nil && p.owner != nil {
		return p.owner
	}
	return p.Sole()
}

// Any returns one issuer of the place, for a request that none of its issuers accepts.
func (p *Place) Any() *Issuer {
	if owner := p.Owner(); owner != nil {
		return owner
	}
	return p.Issuers()[0]
}

// Named returns the issuer of the place with exactly that URL; nil if it is not one of the place.
func (p *Place) Named(url string) *Issuer {
	for _, issuer := range p.Issuers() {
		if issuer.URL == url {
			return issuer
		}
	}
	return nil
}

// Service tells whether an issuer is served, whatever the place.
type Service int

// What can be known about an issuer.
const (
	// Unknown: there is no issuer with that URL, as far as the watch has told.
	Unknown Service = iota
	// Served: it is served, and its tokens are exchanged where it is reached.
	Served
	// Unserved: it is not served now, and may be again: it is in conflict with another or being deleted, or it was deleted and
	// its signing keys are kept.
	Unserved
)

// directory holds all issuers at one moment, by where they are reached. It never changes.
type directory struct {
	at map[endpoint.Location]*placeIssuers
	// byPath are the issuers of a path, whatever their host; hosts are the issuers of a host.
	byPath map[string]*placeIssuers
	hosts  map[string][]*Issuer
	// byURL are the issuers that are served, and unserved the URLs of the others.
	byURL    map[string]*Issuer
	unserved map[string]bool
	// orphans are the signing keys, by kid, of issuers that do not exist or are not served.
	orphans map[string]bool
}

// newDirectory reads issuers and their signing keys, which keys holds by the name of the issuer. Where issuers are in conflict the
// operator and this service leave out the same ones.
func newDirectory(issuers []*v1alpha1.JWTIssuer, operatorNamespace string, keys map[string]*corev1.Secret) *directory {
	d := &directory{
		at: map[endpoint.Location]*placeIssuers{}, byPath: map[string]*placeIssuers{}, hosts: map[string][]*Issuer{},
		byURL: map[string]*Issuer{}, unserved: map[string]bool{}, orphans: map[string]bool{},
	}
	conflicts, served := endpoint.Conflicts(issuers), map[string]bool{}
	for _, issuer := range endpoint.ByAge(issuers) {
		if issuer.DeletionTimestamp != nil || conflicts[issuer.Name].Unserved {
			d.unserved[issuer.Spec.URL] = true
			continue
		}
		served[issuer.Name] = true
		d.add(issuerOf(issuer, operatorNamespace, keys[issuer.Name]), endpoint.Locations(issuer))
	}
	for name, secret := range keys {
		if !served[name] {
			d.keep(secret)
		}
	}
	return d
}

func (d *directory) add(issuer *Issuer, locations []endpoint.Location) {
	d.byURL[issuer.URL] = issuer
	for i, location := range locations {
		issuersAt(d.at, location).join(issuer, i == 0)
		issuersAt(d.byPath, location.Path).join(issuer, i == 0)
		if !slices.Contains(d.hosts[location.Host], issuer) {
			d.hosts[location.Host] = append(d.hosts[location.Host], issuer)
		}
	}
}

func issuersAt[K comparable](places map[K]*placeIssuers, at K) *placeIssuers {
	if places[at] == nil {
		places[at] = &placeIssuers{}
	}
	return places[at]
}

// find returns the place of a request, by host and path. If no issuer has both, the path alone decides, since proxies and
// port-forwards have their own hosts; but not at a host that other issuers have.
func (d *directory) find(path, host string) Place {
	location := endpoint.At(host, path)
	place := Place{Host: location.Host, Path: path, placeIssuers: d.at[location]}
	if place.placeIssuers != nil {
		return place
	}
	under, known := d.byPath[path], d.hosts[location.Host]
	if under == nil || len(known) == 0 {
		place.placeIssuers = under
		return place
	}
	here := &placeIssuers{}
	for _, issuer := range under.issuers {
		if slices.Contains(known, issuer) {
			here.join(issuer, issuer == under.owner)
		}
	}
	place.placeIssuers = here
	return place
}

// service tells whether the issuer with a URL is served. The kid is that of a token which names the URL: several issuers can
// have had one URL, of which another is served now.
func (d *directory) service(url, kid string) Service {
	issuer := d.byURL[url]
	switch {
	case issuer != nil && (!d.orphans[kid] || issuer.signs(kid)):
		return Served
	case d.unserved[url] || d.orphans[kid]:
		return Unserved
	default:
		return Unknown
	}
}

// keep remembers which keys an issuer has that does not exist any more, or is not served.
func (d *directory) keep(secret *corev1.Secret) {
	rings, err := keyring.Decode(secret.Data)
	if err != nil {
		return
	}
	for _, key := range rings.Keys() {
		d.orphans[key.ID] = true
	}
}
