package webhook

import (
	"context"
	"encoding/json"
	"net/http"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/triggers/firing"
)

// answerFinish waits for the answer of a respond node, or for the end of the run. The run is
// stored: when the wait ends early, the answer is that of on_accept.
func (s *Server) answerFinish(w http.ResponseWriter, r *http.Request, rt *Route, started engine.Started) {
	ctx, cancel := context.WithTimeout(r.Context(), rt.timeout)
	defer cancel()
	answer, run, err := s.starter.Answer(ctx, started.Run)
	switch {
	case err != nil:
		if ctx.Err() == nil && !fault.Is(err, fault.NotFound) { // deleted since the first delivery
			s.logger.Error("webhook wait", firing.Reference(rt.Workflow, rt.Trigger), "run", started.Run, "error", err)
		}
		accepted(w, started.Run)
	case answer != nil:
		s.writeAnswer(w, answer)
	case run.Status == runs.Succeeded:
		output := run.Output
		if output == nil {
			output = json.RawMessage("null")
		}
		writeJSON(w, http.StatusOK, "application/json", output)
	default:
		writeProblem(w, problem{Status: http.StatusBadGateway, Detail: "the run ended as " + string(run.Status), Run: started.Run.String()})
	}
}
