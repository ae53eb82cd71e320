import { connect as connectIngress } from '@restatedev/restate-sdk-clients';
import type { Address, Contender, UpdateClient } from '../../contender.ts';
import type { Item } from '../../services/restate-item.ts';
import { startRestateService } from '../restate-service.ts';

function connect({ url }: Address): Promise<UpdateClient> {
  const ingress = connectIngress({ url: String(url) });
  const item = (entity: string) => ingress.objectClient<Item>({ name: 'item' }, entity);
  return Promise.resolve({
    create: async (entities: readonly string[]) =>
      await Promise.all(entities.map(async (entity) => await item(entity).create())),
    update: async (entity: string, version: number) => await item(entity).update(version),
    close: async () => await Promise.resolve(),
  });
}

export const restate: Contender<UpdateClient> = {
  id: 'restate',
  name: 'Restate',
  about: "a virtual object's handler checks the version and sets the state; called through the ingress; single node",
  durability: 'fsync',
  start: startRestateService,
  connect,
};
