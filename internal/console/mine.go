package console

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/refreshkeys/refreshkeys/internal/console/wire"
)

// mineRoutes are those of the person's own sessions at the token service.
func (s *Server) mineRoutes() {
	s.route("GET /api/mine", func(ctx context.Context, p *person, _ *http.Request) (any, error) {
		own, err := ownOf(p)
		if err != nil {
			return nil, err
		}
		mine, err := own.List(ctx)
		return mine, s.endedThere(p, err)
	})
	s.route("POST /api/mine/end", func(ctx context.Context, p *person, r *http.Request) (any, error) {
		var which wire.EndSessions
		if err := decode(r, &which); err != nil {
			return nil, err
		}
		own, err := ownOf(p)
		if err != nil {
			return nil, err
		}
		return s.endMine(ctx, p, own, &which)
	})
}

// endMine ends sessions of a person. With the one that the console has, its own session ends, too.
func (s *Server) endMine(ctx context.Context, p *person, own OwnSessions, which *wire.EndSessions) (any, error) {
	current := which.All
	if len(which.IDs) > 0 {
		mine, err := own.List(ctx)
		if err != nil {
			return nil, s.endedThere(p, err)
		}
		for _, id := range which.IDs {
			for i := range mine.Sessions {
				current = current || mine.Sessions[i].Current && mine.Sessions[i].ID == id
			}
		}
	}
	ended, err := own.EndSessions(ctx, which)
	if err != nil {
		return nil, s.endedThere(p, err)
	}
	if current {
		s.sessions.endKey(p.session)
	}
	return ended, nil
}

func ownOf(p *person) (OwnSessions, error) {
	if p.credential.OwnSessions == nil {
		return nil, fail(http.StatusNotFound, metav1.StatusReasonNotFound, "this sign-in is not a session of the token service, so there are no sessions to list")
	}
	return p.credential.OwnSessions, nil
}

// endedThere ends a session that has ended at the token service, such as by the person from another device.
func (s *Server) endedThere(p *person, err error) error {
	if apierrors.IsUnauthorized(err) {
		s.sessions.endKey(p.session)
	}
	return err
}
