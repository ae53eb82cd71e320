import type { AnyAgent } from '../core/agent.ts';
import { decide, defect, type Command, type DefectPlan } from '../core/decide.ts';
import type { Entity } from '../core/entity.ts';
import { refusal, type RefusedOutcome } from '../core/outcome.ts';
import type { RecentCommand } from '../core/recent.ts';
import { prepareCommit, type Attempt } from './attempt.ts';

export type Decision =
  | { kind: 'replay'; earlier: RecentCommand }
  | { kind: 'forgotten' }
  | { kind: 'attempt'; attempt: Attempt }
  | Refused;

export interface Refused {
  kind: 'refuse';
  outcome: RefusedOutcome;
  /** Whether it is what became of the command: of a durable one, the log has to keep it. */
  isVerdict: boolean;
  defect?: DefectPlan;
}

interface Deciding {
  agent: AnyAgent;
  maxPayload: () => number;
  serverNow: () => number;
}

/** Decides a command on an entity as it was seen. Never throws: what goes wrong is a defect of the rule. */
export function decideAttempt({ agent, maxPayload, serverNow }: Deciding, command: Command, entity: Entity): Decision {
  try {
    const plan = decide(agent, entity, command, serverNow());
    switch (plan.kind) {
      case 'replay':
      case 'forgotten':
        return plan;
      case 'defect':
        return defective(plan);
      case 'misused':
        return { kind: 'refuse', outcome: refusal('rejected', plan.payload), isVerdict: false };
      case 'commit': {
        const made = prepareCommit(agent, entity, command, plan, maxPayload());
        return 'kind' in made ? { kind: 'refuse', outcome: made, isVerdict: true } : { kind: 'attempt', attempt: made };
      }
      case 'conflict':
      case 'rejected':
      case 'denied':
        return { kind: 'refuse', outcome: refusal(plan.kind, plan.payload), isVerdict: true };
    }
  } catch (cause) {
    return defective(defect(command, 'made something that JSON cannot say', cause));
  }
}

function defective(plan: DefectPlan): Refused {
  const outcome: RefusedOutcome = { ...refusal('unavailable', plan.payload), isDefect: true };
  return { kind: 'refuse', outcome, isVerdict: false, defect: plan };
}
