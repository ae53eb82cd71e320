/**
 * I7: whoever was told to hold a lock until some time holds it until then: nobody is granted it before, unless the holder
 * itself has released it or moved its end by a later command.
 */
import type { LockState } from '@meshforge/protocol';
import type { Told } from '../../history.ts';
import { lockOf } from '../agents.ts';
import { isGrant } from '../grants.ts';
import type { Invariant } from '../invariant.ts';
import { nameOf, type Entity, type Message } from '../records.ts';

interface Course {
  /** What holders were told, by version. */
  promises: Map<number, { lock: LockState; told: Told }>;
  /** By version. */
  grants: Map<number, Message>;
}

export const acknowledgedLeases: Invariant = {
  name: 'I7',
  create: ({ breach }) => {
    const courses = new Map<Entity, Course>();
    const courseOf = (entity: Entity): Course => {
      let course = courses.get(entity);
      if (course === undefined) {
        course = { promises: new Map(), grants: new Map() };
        courses.set(entity, course);
      }
      return course;
    };

    /** A later command of the holder would stand between the two versions. */
    const judge = ({ grants, promises }: Course, promised: number, granted: number): void => {
      const promise = promises.get(promised);
      const grant = grants.get(granted);
      if (promise === undefined || grant === undefined) return;
      const { lock, told } = promise;
      const { entity, entry, timeMs } = grant;
      if (told.commandId === entry.commandId || timeMs >= Date.parse(lock.expires_at)) return;
      const owner = lockOf(entry.agent, entry.state)?.owner_id;
      const what = `${lock.owner_id} was told to hold ${nameOf(entity)} until ${lock.expires_at}`;
      breach(`${what}, but ${owner} was granted it at ${entry.time}`, [told, entry]);
    };

    return {
      onLogged(message) {
        const { entity, version } = message;
        if (!isGrant(message)) return;
        const course = courseOf(entity);
        course.grants.set(version, message);
        judge(course, version, version);
        judge(course, version - 1, version);
      },

      onTold(told, { entity, sent }) {
        const { event = '', kind, payload } = told.answer ?? {};
        if (kind !== 'committed' && kind !== 'replayed') return;
        if (!entity.agent.leaseEvents.has(event.slice(event.lastIndexOf('.') + 1))) return;
        const lock = lockOf(sent.agent, payload?.['state']);
        if (lock === undefined || lock.owner_id === null) return;
        const version = Number(payload?.['entity_version']);
        const course = courseOf(entity);
        // A replay tells the same once more.
        if (!course.promises.has(version)) course.promises.set(version, { lock, told });
        judge(course, version, version);
        judge(course, version, version + 1);
      },
    };
  },
};
