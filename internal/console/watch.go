package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// usualEvent and longestEvent are bytes of an event. An API server stores no object of half as many.
	usualEvent   = 64 << 10
	longestEvent = 16 << 20
)

// watch calls take with each event of a watch until the watch ends. The general client reads an event five times until it is an
// object; here it is read once, and only what a row needs.
func (p *person) watch(ctx context.Context, of source, namespace string, options *metav1.ListOptions, take func(watch.Event) error) error {
	options.Watch = true
	stream, err := p.watches.Get().NamespaceIfScoped(namespace, of.namespaced && namespace != "").Resource(of.resource).
		SpecificallyVersionedParams(options, metav1.ParameterCodec, schema.GroupVersion{Version: "v1"}).Stream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 0, usualEvent), longestEvent)
	lines.Split(wholeLines)
	for lines.Scan() {
		event, err := of.read(lines.Bytes())
		if err != nil {
			return err
		}
		if err := take(event); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return lines.Err()
	}
	// A connection that is lost ends the watch, as the API server does.
	return nil
}

// wholeLines is bufio.ScanLines without a last line that has no end: the connection was lost within it.
func wholeLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if atEOF && bytes.IndexByte(data, '\n') < 0 {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}

// head is what the console reads of the metadata of an object. Half of an object are the fields of its managers, which are skipped.
type head struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace"`
	UID               types.UID         `json:"uid"`
	ResourceVersion   string            `json:"resourceVersion"`
	CreationTimestamp metav1.Time       `json:"creationTimestamp"`
	DeletionTimestamp *metav1.Time      `json:"deletionTimestamp"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	ManagedFields     []struct {
		Manager     string `json:"manager"`
		Subresource string `json:"subresource"`
	} `json:"managedFields"`
}

func (h *head) meta() metav1.ObjectMeta {
	read := metav1.ObjectMeta{
		Name: h.Name, Namespace: h.Namespace, UID: h.UID, ResourceVersion: h.ResourceVersion, CreationTimestamp: h.CreationTimestamp,
		DeletionTimestamp: h.DeletionTimestamp, Labels: h.Labels, Annotations: h.Annotations,
	}
	for _, by := range h.ManagedFields {
		read.ManagedFields = append(read.ManagedFields, metav1.ManagedFieldsEntry{Manager: by.Manager, Subresource: by.Subresource})
	}
	return read
}

// readEvent reads a line of a watch whose objects have such a spec and status. An event that is an error becomes one.
func readEvent[S, T any](line []byte, object func(metav1.ObjectMeta, *S, *T) runtime.Object) (watch.Event, error) {
	var sent struct {
		Type   watch.EventType `json:"type"`
		Object struct {
			Metadata head `json:"metadata"`
			Spec     S    `json:"spec"`
			Status   T    `json:"status"`
		} `json:"object"`
	}
	err := json.Unmarshal(line, &sent)
	if sent.Type == watch.Error {
		var failed struct {
			Object metav1.Status `json:"object"`
		}
		if err := json.Unmarshal(line, &failed); err != nil {
			return watch.Event{}, err
		}
		return watch.Event{}, apierrors.FromObject(&failed.Object)
	}
	if err != nil {
		return watch.Event{}, fmt.Errorf("read an event of a watch: %w", err)
	}
	return watch.Event{Type: sent.Type, Object: object(sent.Object.Metadata.meta(), &sent.Object.Spec, &sent.Object.Status)}, nil
}
