import type { AnyAgent } from '../core/agent.ts';
import { decide, defect, type Command, type DefectPlan } from '../core/decide.ts';
import type { Entity } from '../core/entity.ts';
import { defectOutcome, refusal, type StoreOutcome } from '../core/outcome.ts';
import type { RecentCommit } from '../core/recent.ts';
import { prepareAttempt, type Attempt } from './attempt.ts';

export type Decision = { kind: 'replay'; commit: RecentCommit } | { kind: 'attempt'; attempt: Attempt } | Refused;

export interface Refused {
  kind: 'refuse';
  outcome: StoreOutcome;
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
    if (plan.kind === 'replay') return plan;
    if (plan.kind === 'defect') return defective(plan);
    if (plan.kind !== 'commit') return { kind: 'refuse', outcome: refusal(plan.kind, plan.payload) };
    const prepared = prepareAttempt(agent, entity, command, plan, maxPayload());
    return 'kind' in prepared ? { kind: 'refuse', outcome: prepared } : { kind: 'attempt', attempt: prepared };
  } catch (cause) {
    const plan = defect(command, 'made something that JSON cannot say', cause);
    return defective(plan);
  }
}

function defective(plan: DefectPlan): Refused {
  return { kind: 'refuse', outcome: defectOutcome(plan.payload), defect: plan };
}
