-- Health of a JWTIssuer.
--   Healthy      it can sign
--   Progressing  the operator is working, or waits until verifiers have a signing key
--   Degraded     the operator cannot continue until a user acts
local status = obj.status or {}
if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "It is being deleted." }
end
if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "The operator has not looked at it yet." }
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" or condition.type == "Ready" then
    conditions[condition.type] = condition
  end
end
local ready = conditions.Ready
if ready == nil then
  return { status = "Progressing", message = "The operator has not looked at it yet." }
end

local message = ready.reason .. ": " .. (ready.message or "")
if ready.status == "True" then
  return { status = "Healthy", message = message }
end
if conditions.Stalled == nil and conditions.Reconciling ~= nil then
  return { status = "Progressing", message = message }
end
return { status = "Degraded", message = message }
